/* The login of a device, for any MQTT client:
 *
 *   sign_demo PRODUCT_KEY DEVICE_NAME DEVICE_SECRET [HOST]
 *
 * With a host the login is for MQTT without TLS there. */
#include "sign_api.h"
#include <stdio.h>
#include <string.h>

/* 0 when the text and its NUL fit. */
static int copy(char *field, size_t room, const char *text)
{
  if (strlen(text) >= room)
    return -1;
  strcpy(field, text);
  return 0;
}

int main(int argc, char **argv)
{
  iotx_dev_meta_info_t meta;
  iotx_sign_mqtt_t login;
  iotx_mqtt_region_types_t region = IOTX_CLOUD_REGION_SHANGHAI;
  memset(&meta, 0, sizeof meta);
  if (argc < 4 || copy(meta.product_key, sizeof meta.product_key, argv[1]) != 0 ||
      copy(meta.device_name, sizeof meta.device_name, argv[2]) != 0 ||
      copy(meta.device_secret, sizeof meta.device_secret, argv[3]) != 0) {
    fprintf(stderr, "see the top of sign_demo.c\n");
    return 2;
  }
  if (argc > 4) {
    region = IOTX_CLOUD_REGION_CUSTOM;
    if (muster_sign_set_host(argv[4], false) != 0)
      return 1;
  }
  if (IOT_Sign_MQTT(region, &meta, &login) != 0) {
    fprintf(stderr, "IOT_Sign_MQTT refused\n");
    return 1;
  }
  printf("%s\n%u\n%s\n%s\n%s\n", login.hostname, (unsigned)login.port, login.clientid,
         login.username, login.password);
  return 0;
}
