/* A device on the command line. It keeps its identity in $MUSTER_DEVICE_DIR. With $ID2_KEYED set it
 * speaks the keyed form, with $ID2_HARDENED the vendor's form "99".
 *
 *   id2_demo status
 *   id2_demo set ID2 TYPE KEY          1 3DES, 2 AES, 3 SM4; the key in hex
 *   id2_demo challenge CHALLENGE [EXTRA]
 *   id2_demo timestamp MILLISECONDS [EXTRA]
 *   id2_demo decrypt HEX
 *   id2_demo mutual [EXTRA]            prints a challenge, reads the server's code from stdin
 *   id2_demo otp TOKEN                 prints a code in hex, reads the provision data in hex
 */
#include "id2_client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, irot_result_t result)
{
  fprintf(stderr, "%s: %d\n", what, result);
  return 1;
}

/* As bytes; 0 for what is no hex. */
static uint32_t from_hex(const char *hex, uint8_t *out, size_t room)
{
  uint32_t n = 0;
  unsigned value;
  while (n < room && sscanf(hex + 2 * n, "%2x", &value) == 1)
    out[n++] = (uint8_t)value;
  return strlen(hex) == 2 * (size_t)n ? n : 0;
}

static void print_hex(const uint8_t *bytes, uint32_t len)
{
  uint32_t i;
  for (i = 0; i < len; i++)
    printf("%02x", bytes[i]);
  putchar('\n');
  fflush(stdout);
}

static char *read_line(char *line, size_t room)
{
  if (fgets(line, (int)room, stdin) == NULL)
    return NULL;
  line[strcspn(line, "\r\n")] = 0;
  return line;
}

static int status(void)
{
  uint8_t id[ID2_ID_LEN];
  uint32_t len = sizeof id;
  bool provisioned = false;
  irot_result_t result = id2_client_get_prov_stat(&provisioned);
  if (result != IROT_SUCCESS)
    return failed("id2_client_get_prov_stat", result);
  if (!provisioned) {
    puts("no ID2");
    return 0;
  }
  result = id2_client_get_id(id, &len);
  if (result != IROT_SUCCESS)
    return failed("id2_client_get_id", result);
  printf("%.*s\n", (int)len, (const char *)id);
  return 0;
}

static int prove(int timestamp, const char *fresh, const char *extra)
{
  uint8_t code[512];
  uint32_t len = sizeof code;
  const uint8_t *bytes = (const uint8_t *)extra;
  uint32_t extra_len = extra == NULL ? 0 : (uint32_t)strlen(extra);
  irot_result_t result =
    timestamp ? id2_client_get_timestamp_auth_code(fresh, bytes, extra_len, code, &len)
              : id2_client_get_challenge_auth_code(fresh, bytes, extra_len, code, &len);
  if (result != IROT_SUCCESS)
    return failed("auth code", result);
  printf("%.*s\n", (int)len, (const char *)code);
  return 0;
}

static int decrypt(const char *hex)
{
  uint8_t data[512], plain[512];
  uint32_t len = sizeof plain;
  irot_result_t result = id2_client_decrypt(data, from_hex(hex, data, sizeof data), plain, &len);
  if (result != IROT_SUCCESS)
    return failed("id2_client_decrypt", result);
  printf("%.*s\n", (int)len, (const char *)plain);
  return 0;
}

static int mutual(const char *extra)
{
  uint8_t challenge[ID2_MAX_DEVICE_RANDOM_LEN];
  uint32_t len = sizeof challenge;
  char line[1024];
  irot_result_t result = id2_client_get_device_challenge(challenge, &len);
  if (result != IROT_SUCCESS)
    return failed("id2_client_get_device_challenge", result);
  printf("%.*s\n", (int)len, (const char *)challenge);
  fflush(stdout);
  if (read_line(line, sizeof line) == NULL)
    return failed("no code on stdin", 0);
  result = id2_client_verify_server((const uint8_t *)line, (uint32_t)strlen(line), NULL, 0,
                                    (const uint8_t *)extra,
                                    extra == NULL ? 0 : (uint32_t)strlen(extra));
  if (result != IROT_SUCCESS)
    return failed("id2_client_verify_server", result);
  puts("it is the server");
  return 0;
}

static int otp(const char *token)
{
  uint8_t code[256], data[128];
  uint32_t len = sizeof code;
  char line[1024];
  irot_result_t result =
    id2_client_get_otp_auth_code((const uint8_t *)token, (uint32_t)strlen(token), code, &len);
  if (result != IROT_SUCCESS)
    return failed("id2_client_get_otp_auth_code", result);
  print_hex(code, len);
  if (read_line(line, sizeof line) == NULL)
    return failed("no provision data on stdin", 0);
  result = id2_client_load_otp_data(data, from_hex(line, data, sizeof data));
  if (result != IROT_SUCCESS)
    return failed("id2_client_load_otp_data", result);
  return status();
}

int main(int argc, char **argv)
{
  int code = 2;
  const char *extra = argc > 3 ? argv[3] : NULL;
  irot_result_t result = IROT_SUCCESS;
  if (getenv("ID2_KEYED") != NULL)
    result = muster_key_auth_codes(true);
  else if (getenv("ID2_HARDENED") != NULL)
    result = muster_harden_auth_codes(true);
  if (result != IROT_SUCCESS)
    return failed("the form of codes", result);
  result = id2_client_init();
  if (result != IROT_SUCCESS)
    return failed("id2_client_init", result);
  if (argc == 2 && strcmp(argv[1], "status") == 0) {
    code = status();
  } else if (argc == 5 && strcmp(argv[1], "set") == 0) {
    result = id2_client_set_id2_and_key(argv[2], atoi(argv[3]), argv[4]);
    code = result == IROT_SUCCESS ? status() : failed("id2_client_set_id2_and_key", result);
  } else if (argc >= 3 && strcmp(argv[1], "challenge") == 0) {
    code = prove(0, argv[2], extra);
  } else if (argc >= 3 && strcmp(argv[1], "timestamp") == 0) {
    code = prove(1, argv[2], extra);
  } else if (argc == 3 && strcmp(argv[1], "decrypt") == 0) {
    code = decrypt(argv[2]);
  } else if (argc >= 2 && strcmp(argv[1], "mutual") == 0) {
    code = mutual(argc > 2 ? argv[2] : NULL);
  } else if (argc == 3 && strcmp(argv[1], "otp") == 0) {
    code = otp(argv[2]);
  } else {
    fprintf(stderr, "see the top of id2_demo.c\n");
  }
  id2_client_cleanup();
  return code;
}
