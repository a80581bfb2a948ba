/* The documented results: wrong order, null pointers, short buffers, inputs too long. */
#include "board.h"

#define CALL(name, code) CHECK((name) == (code))

static const uint8_t TOKEN[] = "i11iQLFQgzT2BRTWTVQ9B0BE0549A601";
#define U8(text) ((const uint8_t *)(text))
#define LONG33 "123456789012345678901234567890123"

/* Everything but starting and stopping wants a started client. */
static int not_started(void)
{
  uint8_t out[512];
  uint32_t len = sizeof out;
  bool provisioned;
  CALL(id2_client_get_id(out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_get_timestamp_auth_code("1", NULL, 0, out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_decrypt(out, 16, out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_get_device_challenge(out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_verify_server(U8("10~2~a~AAAA"), 11, U8("a"), 1, NULL, 0), IROT_ERROR_GENERIC);
  CALL(id2_client_get_secret("seed", out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_derive_key("seed", out, 16), IROT_ERROR_GENERIC);
  CALL(id2_client_get_prov_stat(&provisioned), IROT_ERROR_GENERIC);
  CALL(id2_client_get_otp_auth_code(TOKEN, 32, out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_load_otp_data(out, 89), IROT_ERROR_GENERIC);
  CALL(id2_client_wrap_do_provisioning("127.0.0.1", 1, "pk", "t", 0), IROT_ERROR_GENERIC);
  CALL(id2_client_set_id2_and_key("2122232425262728292A2B2C", 2, ""), IROT_ERROR_GENERIC);
  CALL(id2_client_get_id(NULL, NULL), IROT_ERROR_GENERIC);
  return 0;
}

static int without_an_id(void)
{
  uint8_t out[512];
  uint32_t len = sizeof out;
  bool provisioned = true;
  CALL(id2_client_get_prov_stat(&provisioned), IROT_SUCCESS);
  CHECK(!provisioned);
  CALL(id2_client_get_id(out, &len), IROT_ERROR_ITEM_NOT_FOUND);
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, &len), IROT_ERROR_ITEM_NOT_FOUND);
  CALL(id2_client_decrypt(U8("0123456789abcdef"), 16, out, &len), IROT_ERROR_ITEM_NOT_FOUND);
  CALL(id2_client_get_secret("seed", out, &len), IROT_ERROR_ITEM_NOT_FOUND);
  CALL(id2_client_verify_server(U8("10~2~a~AAAA"), 11, U8("a"), 1, NULL, 0),
       IROT_ERROR_ITEM_NOT_FOUND);
  return 0;
}

static int otp(void)
{
  uint8_t out[256];
  uint32_t len = sizeof out;
  /* Nothing was asked for. */
  CALL(id2_client_load_otp_data(U8("x"), 1), IROT_ERROR_GENERIC);
  CALL(id2_client_get_otp_auth_code(NULL, 32, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_otp_auth_code(TOKEN, 32, NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_otp_auth_code(TOKEN, 32, out, NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_otp_auth_code(TOKEN, 31, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_otp_auth_code(U8("x11iQLFQgzT2BRTWTVQ9B0BE0549A601"), 32, out, &len),
       IROT_ERROR_GENERIC);
  CALL(id2_client_get_otp_auth_code(U8("i21iQLFQgzT2BRTWTVQ9B0BE0549A601"), 32, out, &len),
       IROT_ERROR_NOT_SUPPORTED);
  CALL(id2_client_get_otp_auth_code(U8("i19iQLFQgzT2BRTWTVQ9B0BE0549A601"), 32, out, &len),
       IROT_ERROR_NOT_SUPPORTED);
  len = 115;
  CALL(id2_client_get_otp_auth_code(TOKEN, 32, out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 116);
  CALL(id2_client_get_otp_auth_code(TOKEN, 32, out, &len), IROT_SUCCESS);
  CHECK(len == 116);
  CALL(id2_client_wrap_do_provisioning(NULL, 1, "pk", "t", 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_wrap_do_provisioning("127.0.0.1", 1, NULL, "t", 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_wrap_do_provisioning("127.0.0.1", 1, "pk", NULL, 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_load_otp_data(NULL, 89), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_load_otp_data(out, 0), IROT_ERROR_BAD_PARAMETERS);
  out[0] = 1;
  CALL(id2_client_load_otp_data(out, 88), IROT_ERROR_GENERIC);
  CALL(id2_client_load_otp_data(out, 89), IROT_ERROR_GENERIC);
  out[0] = 2;
  CALL(id2_client_load_otp_data(out, 89), IROT_ERROR_NOT_SUPPORTED);
  return 0;
}

static int installing(void)
{
  const char *id = "2122232425262728292A2B2C", *key = "2122232425262728292a2b2c2d2e2f30";
  CALL(id2_client_set_id2_and_key(NULL, 2, key), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_set_id2_and_key(id, 2, NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_set_id2_and_key("2122232425262728292a2B2C", 2, key), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_set_id2_and_key("2122232425262728292A2B2C0", 2, key), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_set_id2_and_key(id, 2, "2122"), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_set_id2_and_key(id, 2, "212223242526272829zz2b2c2d2e2f30"),
       IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_set_id2_and_key(id, 4, key), IROT_ERROR_NOT_SUPPORTED);
  board_write_result = IROT_ERROR_COMMUNICATION;
  CALL(id2_client_set_id2_and_key(id, 2, key), IROT_ERROR_COMMUNICATION);
  board_write_result = IROT_SUCCESS;
  board_random_result = IROT_ERROR_TIMEOUT;
  CALL(id2_client_set_id2_and_key(id, 2, key), IROT_ERROR_TIMEOUT);
  board_random_result = IROT_SUCCESS;
  CALL(id2_client_set_id2_and_key(id, 2, key), IROT_SUCCESS);
  return 0;
}

static int arguments(void)
{
  static uint8_t big[4112];
  uint8_t out[512];
  uint32_t len = sizeof out;
  CALL(id2_client_get_version(NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_version(&len), IROT_SUCCESS);
  CALL(id2_client_get_prov_stat(NULL), IROT_ERROR_BAD_PARAMETERS);

  len = 24;
  CALL(id2_client_get_id(NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_id(out, NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_id(out, &len), IROT_SUCCESS);
  len = 23;
  CALL(id2_client_get_id(out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 24);

  len = sizeof out;
  CALL(id2_client_get_challenge_auth_code(NULL, NULL, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("", NULL, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code(LONG33, NULL, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("a~b", NULL, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("c", NULL, 1, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("c", big, 513, out, &len), IROT_ERROR_EXCESS_DATA);
  CALL(id2_client_get_challenge_auth_code("c", out, 16, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_challenge_auth_code("c", big, 512, out, &len), IROT_SUCCESS);
  CHECK(len == 87 && out[0] == '2');
  len = 256;
  CALL(id2_client_get_challenge_auth_code("c", big, 0, out, &len), IROT_SUCCESS);
  CHECK(out[0] == '2');
  len = 255;
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 256);
  CALL(id2_client_get_timestamp_auth_code("12a", NULL, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_timestamp_auth_code(NULL, NULL, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_timestamp_auth_code("12", NULL, 0, NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_timestamp_auth_code("12", NULL, 0, out, NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_timestamp_auth_code("12", NULL, 1, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_timestamp_auth_code("12", big, 513, out, &len), IROT_ERROR_EXCESS_DATA);
  len = 255;
  CALL(id2_client_get_timestamp_auth_code("12", NULL, 0, out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 256);
  board_random_result = IROT_ERROR_COMMUNICATION;
  CALL(id2_client_get_timestamp_auth_code("12", NULL, 0, out, &len), IROT_ERROR_COMMUNICATION);
  board_random_result = IROT_SUCCESS;

  len = sizeof out;
  CALL(id2_client_decrypt(NULL, 16, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_decrypt(big, 0, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_decrypt(big, 16, NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_decrypt(big, 16, out, NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_decrypt(big, 15, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_decrypt(big, 16, out, &len), IROT_ERROR_GENERIC);
  CALL(id2_client_decrypt(big, 4112, out, &len), IROT_ERROR_EXCESS_DATA);
  CALL(id2_client_decrypt(big, 32, big + 16, &len), IROT_ERROR_BAD_PARAMETERS);
  /* "1234" of the vendor's self-test needs four bytes. */
  memcpy(big, "\xec\xe1\x8c\xe9\xb9\x61\xae\xd7\x50\x02\xa4\x8e\xb9\x95\x5e\x44", 16);
  len = 3;
  CALL(id2_client_decrypt(big, 16, out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 4);
  CALL(id2_client_decrypt(big, 16, out, &len), IROT_SUCCESS);
  CHECK(len == 4 && memcmp(out, "1234", 4) == 0);
  len = 15;
  CALL(id2_client_decrypt(big, 16, big, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 16);

  len = 16;
  CALL(id2_client_get_device_challenge(NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_device_challenge(out, NULL), IROT_ERROR_BAD_PARAMETERS);
  len = 15;
  CALL(id2_client_get_device_challenge(out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 16);
  /* No challenge was given out, none that this code answers, no code, too much. */
  CALL(id2_client_verify_server(U8("10~2~a~AAAA"), 11, NULL, 0, NULL, 0), IROT_ERROR_GENERIC);
  CALL(id2_client_verify_server(U8("10~2~a~AAAA"), 11, U8("a"), 1, NULL, 0), IROT_ERROR_GENERIC);
  CALL(id2_client_verify_server(NULL, 11, U8("a"), 1, NULL, 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_verify_server(U8("x"), 0, U8("a"), 1, NULL, 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_verify_server(U8("x"), 1, NULL, 1, NULL, 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_verify_server(U8("x"), 1, U8("a"), 0, NULL, 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_verify_server(U8("x"), 1, U8("a"), 1, NULL, 1), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_verify_server(U8("x"), 1, U8("a"), 1, big, 513), IROT_ERROR_EXCESS_DATA);
  CALL(id2_client_verify_server(big, 1025, U8("a"), 1, NULL, 0), IROT_ERROR_EXCESS_DATA);
  CALL(id2_client_verify_server(U8("x"), 1, big, 129, NULL, 0), IROT_ERROR_EXCESS_DATA);

  len = 64;
  CALL(id2_client_get_secret(NULL, out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_secret("", out, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_secret("seed", NULL, &len), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_get_secret("seed", out, NULL), IROT_ERROR_BAD_PARAMETERS);
  memset(big, 's', 129);
  big[129] = 0;
  CALL(id2_client_get_secret((const char *)big, out, &len), IROT_ERROR_EXCESS_DATA);
  len = 63;
  CALL(id2_client_get_secret("seed", out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 64);
  CALL(id2_client_derive_key(NULL, out, 16), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_derive_key("seed", NULL, 16), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_derive_key("seed", out, 0), IROT_ERROR_BAD_PARAMETERS);
  CALL(id2_client_derive_key("seed", out, 33), IROT_ERROR_EXCESS_DATA);
  return 0;
}

/* A carrier that has no key, one that is away, one that answers nonsense. */
static int carrier_result;
static int carrier_identity(void *context, uint8_t *id, int *key_type)
{
  (void)context;
  memcpy(id, "2122232425262728292A2B2C", 24);
  *key_type = MUSTER_KEY_RSA_2048;
  return carrier_result;
}
static int carrier_sign(void *context, const uint8_t *digest, uint32_t digest_len, uint8_t *out,
                        uint32_t *out_len)
{
  (void)context;
  memcpy(out, digest, digest_len);
  *out_len = 256;
  return IROT_SUCCESS;
}

static int carriers(void)
{
  muster_carrier_t carrier;
  uint8_t out[512];
  uint32_t len = sizeof out;
  memset(&carrier, 0, sizeof carrier);
  CALL(muster_set_carrier(&carrier), IROT_ERROR_BAD_PARAMETERS);
  carrier.identity = carrier_identity;
  CALL(muster_set_carrier(&carrier), IROT_SUCCESS);
  carrier_result = IROT_ERROR_TIMEOUT;
  CALL(id2_client_init(), IROT_ERROR_COMMUNICATION);
  carrier_result = IROT_ERROR_ITEM_NOT_FOUND;
  CALL(id2_client_init(), IROT_SUCCESS);
  CALL(id2_client_get_id(out, &len), IROT_ERROR_ITEM_NOT_FOUND);
  carrier_result = IROT_SUCCESS;
  CALL(id2_client_get_id(out, &len), IROT_SUCCESS);
  len = sizeof out;
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, &len), IROT_ERROR_NOT_SUPPORTED);
  CALL(id2_client_set_id2_and_key("2122232425262728292A2B2C", 3,
                                  "2122232425262728292a2b2c2d2e2f30"),
       IROT_ERROR_NOT_SUPPORTED);
  /* Not while it runs. */
  CALL(muster_set_carrier(NULL), IROT_ERROR_GENERIC);
  CALL(muster_harden_auth_codes(true), IROT_ERROR_GENERIC);
  CALL(muster_key_auth_codes(true), IROT_ERROR_GENERIC);
  CALL(id2_client_cleanup(), IROT_SUCCESS);
  carrier.sign = carrier_sign;
  CALL(muster_set_carrier(&carrier), IROT_SUCCESS);
  CALL(id2_client_init(), IROT_SUCCESS);
  len = 256;
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, &len), IROT_ERROR_SHORT_BUFFER);
  CHECK(len == 4 + 16 + 1 + 1 + 1 + 344);
  CALL(id2_client_get_challenge_auth_code("c", NULL, 0, out, &len), IROT_SUCCESS);
  CALL(id2_client_cleanup(), IROT_SUCCESS);
  CALL(muster_set_carrier(NULL), IROT_SUCCESS);
  return 0;
}

/* Ports that are not complete: no random bytes, no place for a key, no fingerprint. */
static int no_board(void)
{
  static const muster_hal_t empty = {NULL, NULL, NULL, NULL, NULL, NULL};
  static const muster_hal_t bare = {NULL, board_random, NULL, NULL, NULL, NULL};
  static const muster_hal_t faceless = {NULL,        board_random,      board_read,
                                        board_write, board_sealing_key, NULL};
  uint8_t out[256];
  uint32_t len = sizeof out;
  CALL(muster_set_hal(&empty), IROT_ERROR_BAD_PARAMETERS);
  CALL(muster_set_hal(&bare), IROT_SUCCESS);
  CALL(id2_client_init(), IROT_ERROR_NOT_IMPLEMENTED);
  CALL(id2_client_get_id(out, &len), IROT_ERROR_GENERIC);
  CALL(muster_set_hal(&faceless), IROT_SUCCESS);
  CALL(id2_client_init(), IROT_SUCCESS);
  CALL(id2_client_get_otp_auth_code(TOKEN, 32, out, &len), IROT_ERROR_NOT_IMPLEMENTED);
  CALL(id2_client_cleanup(), IROT_SUCCESS);
  return 0;
}

int results(void)
{
  int failed;
  memset(board_slots, 0, sizeof board_slots);
  CALL(muster_set_hal(NULL), IROT_ERROR_BAD_PARAMETERS);
  CALL(board_set("\x11\x22\x33\x44", 4), IROT_SUCCESS);
  if ((failed = not_started()) != 0)
    return failed;
  CALL(id2_client_cleanup(), IROT_SUCCESS);
  CALL(id2_client_init(), IROT_SUCCESS);
  CALL(id2_client_init(), IROT_SUCCESS);
  CALL(board_set("1", 1), IROT_ERROR_GENERIC);
  CALL(id2_client_cleanup(), IROT_SUCCESS);
  CALL(board_set("\x11\x22\x33\x44", 4), IROT_SUCCESS);
  CALL(id2_client_init(), IROT_SUCCESS);
  if ((failed = without_an_id()) != 0 || (failed = otp()) != 0 || (failed = installing()) != 0 ||
      (failed = arguments()) != 0)
    return failed;
  CALL(id2_client_cleanup(), IROT_SUCCESS);
  if ((failed = not_started()) != 0)
    return failed;
  if ((failed = carriers()) != 0)
    return failed;
  return no_board();
}
