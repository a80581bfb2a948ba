/* Made from the Rust sources by the test `headers`; change those. */

#ifndef ID2_CLIENT_H
#define ID2_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Characters of an ID2.
 */
#define ID2_ID_LEN 24

/**
 * Most bytes of id2_client_derive_key.
 */
#define ID2_DERIV_KEY_LEN 32

/**
 * Characters of id2_client_get_secret.
 */
#define ID2_DERIV_SECRET_LEN 64

/**
 * Most characters of a challenge or timestamp.
 */
#define ID2_MAX_SERVER_RANDOM_LEN 32

/**
 * Characters of a device challenge.
 */
#define ID2_MAX_DEVICE_RANDOM_LEN 16

/**
 * Most characters of a seed.
 */
#define ID2_MAX_SEED_LEN 128

/**
 * Most bytes of extra.
 */
#define ID2_MAX_EXTRA_LEN 512

/**
 * Most bytes to decrypt.
 */
#define ID2_MAX_CRYPT_LEN 4096

/**
 * The least room for an auth code; RSA-2048 needs 400.
 */
#define ID2_AUTH_CODE_BUF_LEN 256

/**
 * The result of every function.
 */
typedef int irot_result_t;

/**
 * Done.
 */
#define IROT_SUCCESS 0

/**
 * Any other error; also a call before id2_client_init.
 */
#define IROT_ERROR_GENERIC -1

/**
 * A null pointer, or an argument that cannot be.
 */
#define IROT_ERROR_BAD_PARAMETERS -2

/**
 * The output does not fit; its length says how long it must be.
 */
#define IROT_ERROR_SHORT_BUFFER -3

/**
 * An input is too long.
 */
#define IROT_ERROR_EXCESS_DATA -4

/**
 * There is no memory. This library needs none.
 */
#define IROT_ERROR_OUT_OF_MEMORY -5

/**
 * The carrier of the key cannot be reached.
 */
#define IROT_ERROR_COMMUNICATION -7

/**
 * The key or its carrier cannot do this.
 */
#define IROT_ERROR_NOT_SUPPORTED -8

/**
 * The port to this board is not complete.
 */
#define IROT_ERROR_NOT_IMPLEMENTED -9

/**
 * The carrier of the key took too long.
 */
#define IROT_ERROR_TIMEOUT -10

/**
 * There is no ID2 yet.
 */
#define IROT_ERROR_ITEM_NOT_FOUND -11

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Starts the client. Must come before all other functions; harmless when it runs.
 *
 * @return IROT_SUCCESS, IROT_ERROR_NOT_IMPLEMENTED when the board has no HAL, or the error of the
 * board or carrier.
 */
irot_result_t id2_client_init(void);

/**
 * Stops the client. An exchange that waits for its provision data is forgotten.
 *
 * @return IROT_SUCCESS.
 */
irot_result_t id2_client_cleanup(void);

/**
 * The version of the client.
 *
 * @param[out] version
 */
irot_result_t id2_client_get_version(uint32_t *version);

/**
 * Wraps auth codes of both sides in a layer of encryption (`99~...`), for products that ask for it.
 * To be called before id2_client_init. Not in the vendor's header, where it is a build option.
 *
 * @return IROT_ERROR_GENERIC while the client runs.
 */
irot_result_t muster_harden_auth_codes(bool on);

/**
 * Whether auth codes and data are keyed (form "98"): proven and encrypted without ECB. The product
 * of the server must take that form, and does unless it is set otherwise. Symmetric keys alone. To
 * be called before id2_client_init. Not in the vendor's header.
 *
 * @return IROT_ERROR_GENERIC while the client runs.
 */
irot_result_t muster_key_auth_codes(bool on);

/**
 * The ID2.
 *
 * @param[out]   id  not less than 24 bytes; no NUL is written.
 * @param[inout] len the room, then the length.
 */
irot_result_t id2_client_get_id(uint8_t *id, uint32_t *len);

/**
 * The auth code over a challenge of the server.
 *
 * @param[in]    challenge     1 to 32 characters and a NUL.
 * @param[in]    extra         optional, at most 512 bytes, covered by the signature.
 * @param[in]    extra_len
 * @param[out]   auth_code     not less than 256 bytes (RSA-2048: 400); no NUL is written.
 * @param[inout] auth_code_len the room, then the length.
 */
irot_result_t id2_client_get_challenge_auth_code(const char *challenge,
                                                 const uint8_t *extra,
                                                 uint32_t extra_len,
                                                 uint8_t *auth_code,
                                                 uint32_t *auth_code_len);

/**
 * The auth code over the time.
 *
 * @param[in]    timestamp     milliseconds since 1970 in decimal digits, and a NUL.
 * @param[in]    extra         optional, at most 512 bytes, covered by the signature.
 * @param[in]    extra_len
 * @param[out]   auth_code     not less than 256 bytes (RSA-2048: 400); no NUL is written.
 * @param[inout] auth_code_len the room, then the length.
 */
irot_result_t id2_client_get_timestamp_auth_code(const char *timestamp,
                                                 const uint8_t *extra,
                                                 uint32_t extra_len,
                                                 uint8_t *auth_code,
                                                 uint32_t *auth_code_len);

/**
 * Decrypts what the server encrypted for this device (after base64). `out` may be `in`.
 *
 * @param[in]    in
 * @param[in]    in_len  at most 512 by the document; 4096 are taken.
 * @param[out]   out
 * @param[inout] out_len the room, then the length.
 */
irot_result_t id2_client_decrypt(const uint8_t *in,
                                 uint32_t in_len,
                                 uint8_t *out,
                                 uint32_t *out_len);

/**
 * A challenge for the server, which id2_client_verify_server remembers.
 *
 * @param[out]   random     not less than 16 bytes; no NUL is written.
 * @param[inout] random_len the room, then the length.
 */
irot_result_t id2_client_get_device_challenge(uint8_t *random, uint32_t *random_len);

/**
 * Whether a code is of the server.
 *
 * @param[in] auth_code         the server's code.
 * @param[in] auth_code_len
 * @param[in] device_random     the challenge, or NULL for the last of
 *                              id2_client_get_device_challenge, which is good once.
 * @param[in] device_random_len 0 with NULL.
 * @param[in] server_extra      optional, at most 512 bytes.
 * @param[in] server_extra_len
 *
 * @return IROT_SUCCESS only when the server knows this device's key.
 */
irot_result_t id2_client_verify_server(const uint8_t *auth_code,
                                       uint32_t auth_code_len,
                                       const uint8_t *device_random,
                                       uint32_t device_random_len,
                                       const uint8_t *server_extra,
                                       uint32_t server_extra_len);

/**
 * A secret of this device, derived from a seed.
 *
 * @param[in]    seed       1 to 128 characters and a NUL.
 * @param[out]   secret     not less than 64 bytes; no NUL is written.
 * @param[inout] secret_len the room, then the length.
 */
irot_result_t id2_client_get_secret(const char *seed, uint8_t *secret, uint32_t *secret_len);

/**
 * A key of this device, derived from a seed: bytes.
 *
 * @param[in]  seed    1 to 128 characters and a NUL.
 * @param[out] key
 * @param[in]  key_len 1 to 32.
 */
irot_result_t id2_client_derive_key(const char *seed, uint8_t *key, uint32_t key_len);

/**
 * Keeps an ID2 and its key that came another way than over the air, such as in a file of the
 * production line; what was there before is gone.
 *
 * @param[in] id2       24 characters and a NUL.
 * @param[in] key_type  1 3DES, 2 AES, 3 SM4.
 * @param[in] key_value the key as hex digits and a NUL; its length tells 3DES-112 from 3DES-168 and
 *                      AES-128 from AES-192 and AES-256.
 */
irot_result_t id2_client_set_id2_and_key(const char *id2, int key_type, const char *key_value);

/**
 * Whether there is an ID2.
 *
 * @param[out] is_prov
 */
irot_result_t id2_client_get_prov_stat(bool *is_prov);

/**
 * The code with which a device without an ID2 asks for one. Binary: base64 makes it the
 * DeviceAuthCode of OtpGetId2. What comes back must be loaded before the power ends or
 * id2_client_cleanup is called.
 *
 * @param[in]    token     the product's token.
 * @param[in]    token_len 32.
 * @param[out]   auth_code at most 256 bytes.
 * @param[inout] len       the room, then the length.
 */
irot_result_t id2_client_get_otp_auth_code(const uint8_t *token,
                                           uint32_t token_len,
                                           uint8_t *auth_code,
                                           uint32_t *len);

/**
 * Keeps the ID2 and key that came for the last id2_client_get_otp_auth_code. When this fails, the
 * device has what it had before.
 *
 * @param[in] otp_data the ProvisionData of OtpGetId2, after base64.
 * @param[in] len
 */
irot_result_t id2_client_load_otp_data(const uint8_t *otp_data, uint32_t len);

/**
 * Fetches an ID2 over iTLS, if the device has none. Connects to PRODUCT_KEY.HOST, or to the host
 * itself when it is an address or the longer name is unknown; up to three times.
 *
 * @param[in] host           a name or an address, and a NUL.
 * @param[in] port           of the server's iTLS listener.
 * @param[in] product_key    at most 64 characters and a NUL.
 * @param[in] product_secret the product's token: 32 characters and a NUL.
 * @param[in] timeout_ms     for each try; at least 2000 are taken.
 *
 * @return IROT_SUCCESS once there is an ID2; IROT_ERROR_COMMUNICATION, IROT_ERROR_TIMEOUT;
 * IROT_ERROR_GENERIC when the server refused (hal_itls_get_alert_type says why);
 * IROT_ERROR_NOT_SUPPORTED on a board without sockets of its own.
 */
irot_result_t id2_client_wrap_do_provisioning(const char *host,
                                              uint32_t port,
                                              const char *product_key,
                                              const char *product_secret,
                                              uint32_t timeout_ms);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ID2_CLIENT_H */
