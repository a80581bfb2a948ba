/* The published vectors through the C interface; runs on a PC and on bare metal. */
#include "board.h"

static const uint8_t RANDOM[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
#define CHALLENGE "55B83408399FA660F05C82E4F25333DC"
#define TIMESTAMP "1512022279204"
#define DC "67452301EFCDAB89"

struct vector {
  const char *id;
  int type;
  const char *key;
  const char *challenge;
  const char *timestamp_extra;
  const char *hello;
};

static const struct vector VECTORS[] = {
  {"2122232425262728292A2B2C", 2, "2122232425262728292a2b2c2d2e2f30",
   "0~2~" DC "~" CHALLENGE "~eXTmAV9sdhn4u824m4+mICNzD2kZ4e5XKVmkgzNAnvuXnA1nt3r97vPi1Bnh6fF1",
   "3~2~" DC "~" TIMESTAMP "~mJ/HXU7nCmJsKjOqo/CxLo3I8HGL0OqiANx6GnZZ9DSXnA1nt3r97vPi1Bnh6fF1",
   "49d2c68ba42a0cd40d1834f02978cc44"},
  {"000FFFFFDB1D8DC78DDCB800", 2, "e4cac8c54ab2d7f07939466b332736990598a452ffe33a97",
   "0~2~" DC "~" CHALLENGE "~DcQSAmyVpIOIWWVt9uQNHWfHwZkxTLp7zC/QUhWV+XIqPlyoRTxaq/utxfegaUZ8",
   "3~2~" DC "~" TIMESTAMP "~SjnIuVqsceH6hWX8lM0u1X6Dvt8l7AtTNJSdf1Adl9AqPlyoRTxaq/utxfegaUZ8",
   "141cf4653eed9bf1bd42702eb8ce1de4"},
  {"2122232425262728292A2B2C", 2,
   "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
   "0~2~" DC "~" CHALLENGE "~ditHlbD+1jKkl5nLziNYmK4Iu7GIb4vDCZ84J329XD4vo2knkDbm2bjvWI1TUwbQ",
   NULL, "dedf51ee1bde0315793d1a9ab1784250"},
  {"0102030405060708090A0B0C", 1, "0102030405060708090a0b0c0d0e0f10",
   "0~2~" DC "~" CHALLENGE "~wc0qGxUjWfdNb5NA2AMExwBFoaj0CdY+KEt+mQY9A28GEBk3fGv9ig==",
   "3~2~" DC "~" TIMESTAMP "~qyAxiuWb0KzbjceNI0MrQXH2Zip8ns27c8I3aaEsTl0GEBk3fGv9ig==",
   "d75cc472bc4d639c0da490dcc3c83c0a"},
  {"0102030405060708090A0B0C", 1, "0102030405060708090a0b0c0d0e0f101112131415161718",
   "0~2~" DC "~" CHALLENGE "~loGPd3qpfWgLXGiOm3O38+6n8OpKLVxw2NLZ4XOYmE6PRbW+I/FsTg==", NULL,
   "69fa9a963f5ee89516aa57176e85be73"},
  {"2122232425262728292A2B2C", 3, "2122232425262728292a2b2c2d2e2f30",
   "0~3~" DC "~" CHALLENGE "~2o8t48HV+LUt0ZpqK1DUif8VNi4CHqIp2rNiQdmgZyWSYJubqeveYzKMQNqi51Ee",
   NULL, "0b7f9d7b510b15214261501f5596f590"},
};

#define SERVER                                                                                     \
  "10~2~" DC "~UXzFHtUqvwHIpaDXg/9i5EVaLXHK0wwfoW7YageoYkOXnA1nt3r97vPi1Bnh6fF1"
#define SERVER_EXTRA                                                                               \
  "11~2~" DC "~8jgY94HHC+tNE1+LHNpyB5VW6LoA4PQOZVqDc35unOuXnA1nt3r97vPi1Bnh6fF1"
#define HARDENED                                                                                   \
  "99~vbDKhr16lGpSuur06BVYTtznEXdp7QP3ZVDLJBHoz4TvFEheoj+SbNJHiD0wcj2HLo4fH+EVRpFwCGJ473JhVqaK"    \
  "2L87BDBb/KO37i2HMLB2eslqAh/daxM+hREiGsxv/y+1Av+BZLpHLXYm1t2rBkPn8H4yUimvHi00+ggy14I="
#define SECRET "35EA365AAF3ADCE65C69E88FDABA60C70C01B7F7A9BFCA194E6E1DA48F85EF54"

/* The keyed form, computed by another program (HMAC and AES-GCM of Python and OpenSSL). */
#define KEYED "98~3~2~" DC "~" TIMESTAMP "~upfjXAPSRsQnOwPwMpo15tkdb6B9yKGYAjFhkArqy5M="
#define KEYED_SERVER "98~10~2~" DC "~6R6xtlREHLFCm3Q56aBJ6p6lqG+7wI2/01yZXv/KFaw="
#define KEYED_HELLO                                                                                \
  "070707070707070707070707065cc768b25855425121f4c6fd482f88406a32c984fca88e4f"

static uint32_t from_hex(const char *hex, uint8_t *out)
{
  uint32_t n = 0;
  for (; hex[0] != 0; hex += 2) {
    int i, value = 0;
    for (i = 0; i < 2; i++)
      value = value * 16 + (hex[i] <= '9' ? hex[i] - '0' : (hex[i] | 32) - 'a' + 10);
    out[n++] = (uint8_t)value;
  }
  return n;
}

static int is(const uint8_t *bytes, uint32_t len, const char *text)
{
  return len == strlen(text) && memcmp(bytes, text, len) == 0;
}

/* A device of the air: its token, what it gets, and what it can decrypt then. */
struct otp {
  const char *token;
  const char *asks;
  const char *id;
  uint8_t type;
  const char *tail;
  const char *to_1234;
};

static const struct otp OTPS[] = {
  {"i11iQLFQgzT2BRTWTVQ9B0BE0549A601",
   "00000100240e4a5f0a66b603e613e6a772e7e2cb19e0a1eff6f20361dab7dbae05de42c7e8c6ba07a2ff4669"
   "28701b4c47ed0a46249144384122ebcfd11345c4db4c3b7b0418324eee49c80e558a43bc10a0d47fc455b74e"
   "97765bc5904daf98acc62d16a0277be3d4f6164f98bee01faf479ab6",
   "00000001AE5EA6190B785B00", 1,
   "cc38a30399e0fe73b857b8eb089d9f33346bce0b8eed34da10f6a8fabb844494"
   "82596a9e2e5a5aa85513a47baddec4dc901e3b108736db751b71dace129b66c3",
   "1cc565a191cfcea59f997dc9195c154d"},
  {"i14ejGyODBUwsjKTWri789E01AAD601E",
   "000001006b69a77032a91a926ce4f2a8178ce06d921d4aa4edea37e70e42af00145f4df6353021f0a2215f56"
   "5e9e57559d4f5f1643de413ca5e422403c5f74c19cca6cb323b18d2dfbd4d3314bae9db12b9ecbc7d7d6884b"
   "eec99c1f053ff0f2e4e103c6af38933e9f366d23",
   "00AAAAAABBBBBB48B69CD200", 4,
   "4bcd91457ae9b067da42d444547606f0ad6a88b4fa37833d"
   "494d8769ae17cf0ac462d51967af524960a1864414bb67f8dd14d0741e0019e5",
   "decfb04de525631e"},
};

static int over_the_air(const struct otp *otp)
{
  uint8_t code[256], data[128], out[16], asks[128];
  uint32_t len = sizeof code, data_len, out_len = sizeof out;
  bool provisioned = true;

  memset(board_slots, 0xff, sizeof board_slots);
  CHECK(board_set("0", 1) == IROT_SUCCESS);
  CHECK(id2_client_init() == IROT_SUCCESS);
  CHECK(id2_client_get_prov_stat(&provisioned) == IROT_SUCCESS && !provisioned);
  CHECK(id2_client_get_otp_auth_code((const uint8_t *)otp->token, 32, code, &len) == IROT_SUCCESS);
  CHECK(len == from_hex(otp->asks, asks) && memcmp(code, asks, len) == 0);
  data[0] = otp->type;
  memcpy(data + 1, otp->id, 24);
  data_len = 25 + from_hex(otp->tail, data + 25);
  data[60] ^= 1;
  CHECK(id2_client_load_otp_data(data, data_len) == IROT_ERROR_GENERIC);
  data[60] ^= 1;
  CHECK(id2_client_load_otp_data(data, data_len) == IROT_SUCCESS);
  CHECK(id2_client_get_prov_stat(&provisioned) == IROT_SUCCESS && provisioned);
  data_len = from_hex(otp->to_1234, data);
  CHECK(id2_client_decrypt(data, data_len, out, &out_len) == IROT_SUCCESS);
  CHECK(is(out, out_len, "1234"));
  CHECK(id2_client_cleanup() == IROT_SUCCESS);
  return 0;
}

int vectors(void)
{
  uint8_t out[512], data[32];
  uint32_t len, i;
  int failed;

  memset(board_slots, 0xff, sizeof board_slots);
  CHECK(board_set(RANDOM, sizeof RANDOM) == IROT_SUCCESS);
  CHECK(id2_client_init() == IROT_SUCCESS);
  for (i = 0; i < sizeof VECTORS / sizeof VECTORS[0]; i++) {
    const struct vector *v = &VECTORS[i];
    CHECK(id2_client_set_id2_and_key(v->id, v->type, v->key) == IROT_SUCCESS);
    len = sizeof out;
    CHECK(id2_client_get_id(out, &len) == IROT_SUCCESS && is(out, len, v->id));
    len = sizeof out;
    CHECK(id2_client_get_challenge_auth_code(CHALLENGE, NULL, 0, out, &len) == IROT_SUCCESS);
    CHECK(is(out, len, v->challenge));
    if (v->timestamp_extra != NULL) {
      len = sizeof out;
      CHECK(id2_client_get_timestamp_auth_code(TIMESTAMP, (const uint8_t *)"abcd1234", 8, out,
                                               &len) == IROT_SUCCESS);
      CHECK(is(out, len, v->timestamp_extra));
    }
    CHECK(from_hex(v->hello, data) == 16);
    len = 9;
    CHECK(id2_client_decrypt(data, 16, out, &len) == IROT_SUCCESS && is(out, len, "hello id2"));
    len = sizeof data;
    CHECK(id2_client_decrypt(data, 16, data, &len) == IROT_SUCCESS && is(data, len, "hello id2"));
  }

  CHECK(id2_client_set_id2_and_key(VECTORS[0].id, 2, VECTORS[0].key) == IROT_SUCCESS);
  len = sizeof out;
  CHECK(id2_client_get_device_challenge(out, &len) == IROT_SUCCESS && is(out, len, DC));
  CHECK(id2_client_verify_server((const uint8_t *)SERVER, sizeof SERVER - 1, NULL, 0, NULL, 0) ==
        IROT_SUCCESS);
  CHECK(id2_client_verify_server((const uint8_t *)SERVER_EXTRA, sizeof SERVER_EXTRA - 1,
                                 (const uint8_t *)DC, 16, (const uint8_t *)"srvextra", 8) ==
        IROT_SUCCESS);
  len = sizeof out;
  CHECK(id2_client_get_secret("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", out, &len) == IROT_SUCCESS);
  CHECK(is(out, len, SECRET));
  CHECK(id2_client_derive_key("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", out, 16) == IROT_SUCCESS);
  CHECK(from_hex("35EA365AAF3ADCE65C69E88FDABA60C7", data) == 16 && memcmp(out, data, 16) == 0);

  CHECK(id2_client_cleanup() == IROT_SUCCESS);
  CHECK(muster_harden_auth_codes(true) == IROT_SUCCESS);
  CHECK(id2_client_init() == IROT_SUCCESS);
  len = sizeof out;
  CHECK(id2_client_get_challenge_auth_code(CHALLENGE, NULL, 0, out, &len) == IROT_SUCCESS);
  CHECK(is(out, len, HARDENED));
  CHECK(id2_client_cleanup() == IROT_SUCCESS);
  CHECK(muster_harden_auth_codes(false) == IROT_SUCCESS);

  CHECK(muster_key_auth_codes(true) == IROT_SUCCESS);
  CHECK(id2_client_init() == IROT_SUCCESS);
  len = sizeof out;
  CHECK(id2_client_get_timestamp_auth_code(TIMESTAMP, (const uint8_t *)"abcd1234", 8, out, &len) ==
        IROT_SUCCESS);
  CHECK(is(out, len, KEYED));
  CHECK(id2_client_verify_server((const uint8_t *)KEYED_SERVER, sizeof KEYED_SERVER - 1,
                                 (const uint8_t *)DC, 16, NULL, 0) == IROT_SUCCESS);
  CHECK(id2_client_verify_server((const uint8_t *)SERVER, sizeof SERVER - 1, (const uint8_t *)DC,
                                 16, NULL, 0) == IROT_ERROR_GENERIC);
  CHECK(from_hex(KEYED_HELLO, out) == 37);
  len = 9;
  CHECK(id2_client_decrypt(out, 37, data, &len) == IROT_SUCCESS && is(data, len, "hello id2"));
  CHECK(id2_client_cleanup() == IROT_SUCCESS);
  CHECK(muster_key_auth_codes(false) == IROT_SUCCESS);

  for (i = 0; i < sizeof OTPS / sizeof OTPS[0]; i++)
    if ((failed = over_the_air(&OTPS[i])) != 0)
      return failed;
  return 0;
}
