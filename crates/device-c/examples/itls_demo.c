/* A device that speaks MQTT over iTLS. It keeps its identity in $MUSTER_DEVICE_DIR, and is given one
 * when it has none.
 *
 *   itls_demo provision HOST PORT PRODUCT_KEY TOKEN
 *   itls_demo post HOST PORT PRODUCT_KEY TOKEN DEVICE_NAME DEVICE_SECRET JSON
 *
 * The first prints the ID2. The second logs in, posts the JSON object as properties, and prints the
 * server's reply. When the server refuses, the number of its alert is printed. */
#include "hal_itls.h"
#include "id2_client.h"
#include "sign_api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000

static int refused(const char *what)
{
  fprintf(stderr, "%s: alert %u\n", what, (unsigned)hal_itls_get_alert_type());
  printf("alert %u\n", (unsigned)hal_itls_get_alert_type());
  return 1;
}

/* A packet that is written piece by piece; of no more bytes than this program needs. */
struct packet {
  unsigned char bytes[2048];
  size_t len;
};

static int put(struct packet *packet, const void *bytes, size_t len)
{
  if (len > sizeof packet->bytes - packet->len)
    return -1;
  memcpy(packet->bytes + packet->len, bytes, len);
  packet->len += len;
  return 0;
}

/* A text or payload after its length in two bytes. */
static int put_text(struct packet *packet, const char *text)
{
  size_t len = strlen(text);
  unsigned char prefix[2];
  prefix[0] = (unsigned char)(len >> 8);
  prefix[1] = (unsigned char)len;
  return len > 0xffff || put(packet, prefix, 2) != 0 ? -1 : put(packet, text, len);
}

/* Sends a packet of this first byte with what was put together behind it. */
static int send_packet(uintptr_t handle, int first, const struct packet *body)
{
  unsigned char head[5];
  size_t rest = body->len, n = 0;
  head[n++] = (unsigned char)first;
  do {
    head[n++] = (unsigned char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  if (hal_itls_write(handle, (const char *)head, (int)n, TIMEOUT_MS) != (int)n)
    return -1;
  return hal_itls_write(handle, (const char *)body->bytes, (int)body->len, TIMEOUT_MS) ==
             (int)body->len
           ? 0
           : -1;
}

/* The next packet: its first byte, or -1. */
static int next_packet(uintptr_t handle, struct packet *packet)
{
  unsigned char byte;
  int first, shift = 0;
  size_t len = 0;
  if (hal_itls_read(handle, (char *)&byte, 1, TIMEOUT_MS) != 1)
    return -1;
  first = byte;
  do {
    if (shift > 21 || hal_itls_read(handle, (char *)&byte, 1, TIMEOUT_MS) != 1)
      return -1;
    len |= (size_t)(byte & 0x7f) << shift;
    shift += 7;
  } while (byte & 0x80);
  if (len > sizeof packet->bytes)
    return -1;
  packet->len = len;
  if (len > 0 && hal_itls_read(handle, (char *)packet->bytes, (int)len, TIMEOUT_MS) != (int)len)
    return -1;
  return first;
}

static int copy(char *field, size_t room, const char *text)
{
  if (strlen(text) >= room)
    return -1;
  strcpy(field, text);
  return 0;
}

static int log_in(uintptr_t handle, const char *host, char **argv)
{
  static const unsigned char WHAT[] = { 0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, 60 };
  iotx_dev_meta_info_t meta;
  iotx_sign_mqtt_t login;
  struct packet packet;
  memset(&meta, 0, sizeof meta);
  if (copy(meta.product_key, sizeof meta.product_key, argv[0]) != 0 ||
      copy(meta.device_name, sizeof meta.device_name, argv[2]) != 0 ||
      copy(meta.device_secret, sizeof meta.device_secret, argv[3]) != 0 ||
      muster_sign_set_host(host, true) != 0 || muster_sign_use_itls() != 0 ||
      IOT_Sign_MQTT(IOTX_CLOUD_REGION_CUSTOM, &meta, &login) != 0)
    return -1;
  packet.len = 0;
  if (put(&packet, WHAT, sizeof WHAT) != 0 || put_text(&packet, login.clientid) != 0 ||
      put_text(&packet, login.username) != 0 || put_text(&packet, login.password) != 0 ||
      send_packet(handle, 0x10, &packet) != 0)
    return -1;
  return next_packet(handle, &packet) == 0x20 && packet.len == 2 ? packet.bytes[1] : -1;
}

static int post(uintptr_t handle, char **argv)
{
  struct packet packet;
  char topic[128], payload[1024];
  int first, acknowledged = 0;
  if (snprintf(topic, sizeof topic, "/sys/%s/%s/thing/event/property/post", argv[0], argv[2]) >=
        (int)sizeof topic ||
      snprintf(payload, sizeof payload,
               "{\"id\":\"1\",\"version\":\"1.0\",\"params\":%s,"
               "\"method\":\"thing.event.property.post\"}",
               argv[4]) >= (int)sizeof payload)
    return -1;
  packet.len = 0;
  /* QoS 1, packet identifier 1. */
  if (put_text(&packet, topic) != 0 || put(&packet, "\0\1", 2) != 0 ||
      put(&packet, payload, strlen(payload)) != 0 || send_packet(handle, 0x32, &packet) != 0)
    return -1;
  for (;;) {
    first = next_packet(handle, &packet);
    if (first < 0)
      return -1;
    if (first == 0x40)
      acknowledged = 1;
    if ((first & 0xf0) == 0x30 && packet.len >= 2) {
      size_t skip = 2 + ((size_t)packet.bytes[0] << 8 | packet.bytes[1]);
      if (skip > packet.len)
        return -1;
      printf("%.*s\n", (int)(packet.len - skip), (const char *)packet.bytes + skip);
      fflush(stdout);
      return acknowledged ? 0 : -1;
    }
  }
}

int main(int argc, char **argv)
{
  uint8_t id[ID2_ID_LEN];
  uint32_t len = sizeof id, port;
  uintptr_t handle;
  int code;
  if (argc < 6 || (strcmp(argv[1], "provision") != 0 && argc < 9)) {
    fprintf(stderr, "see the top of itls_demo.c\n");
    return 2;
  }
  port = (uint32_t)strtoul(argv[3], NULL, 10);
  if (strcmp(argv[1], "provision") == 0) {
    if (id2_client_init() != IROT_SUCCESS)
      return 1;
    code = id2_client_wrap_do_provisioning(argv[2], port, argv[4], argv[5], TIMEOUT_MS);
    if (code != IROT_SUCCESS) {
      fprintf(stderr, "id2_client_wrap_do_provisioning: %d\n", code);
      return refused("not provisioned");
    }
    if (id2_client_get_id(id, &len) != IROT_SUCCESS)
      return 1;
    printf("%.*s\n", (int)len, (const char *)id);
    return id2_client_cleanup();
  }
  handle = hal_itls_establish(argv[2], port, argv[4], argv[5]);
  if (handle == 0)
    return refused("no connection");
  code = log_in(handle, argv[2], argv + 4);
  if (code != 0) {
    fprintf(stderr, "CONNACK %d\n", code);
    hal_itls_destroy(handle);
    return 1;
  }
  code = post(handle, argv + 4);
  hal_itls_destroy(handle);
  /* What is destroyed is refused, and not touched. */
  if (hal_itls_write(handle, "x", 1, 100) != -2 || hal_itls_read(handle, (char *)id, 1, 100) != -2 ||
      hal_itls_destroy(handle) != 0)
    return 1;
  id2_client_cleanup();
  return code == 0 ? 0 : 1;
}
