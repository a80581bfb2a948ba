/* Made from the Rust sources by the test `headers`; change those. */

#ifndef MUSTER_HAL_H
#define MUSTER_HAL_H

#include <stdbool.h>
#include <stdint.h>
#include "id2_client.h"

/**
 * Bytes of each of the two slots that `read` and `write` of muster_hal_t are about.
 */
#define MUSTER_SLOT_LEN 112

/**
 * Key types of muster_carrier_t: AES with 16, 24, 32 bytes.
 */
#define MUSTER_KEY_AES_128 1

/**
 * See MUSTER_KEY_AES_128.
 */
#define MUSTER_KEY_AES_192 2

/**
 * See MUSTER_KEY_AES_128.
 */
#define MUSTER_KEY_AES_256 3

/**
 * Triple DES with 16 bytes.
 */
#define MUSTER_KEY_3DES_112 4

/**
 * Triple DES with 24 bytes.
 */
#define MUSTER_KEY_3DES_168 5

/**
 * SM4.
 */
#define MUSTER_KEY_SM4 6

/**
 * RSA with 1024 bits.
 */
#define MUSTER_KEY_RSA_1024 7

/**
 * RSA with 2048 bits.
 */
#define MUSTER_KEY_RSA_2048 8

/**
 * ECDSA on P-256.
 */
#define MUSTER_KEY_P256 9

/**
 * SM2.
 */
#define MUSTER_KEY_SM2 10

/**
 * A board. Every function gets `context` first and returns 0 or one of IROT_ERROR_*. None may call
 * back into id2_client_*.
 */
typedef struct {
  /**
   * Whatever the functions want to know.
   */
  void *context;
  /**
   * Fills `out` with bytes that nobody can guess (TRNG or a generator seeded by one).
   */
  int (*random)(void *context, uint8_t *out, uint32_t len);
  /**
   * Reads slot 0 or 1 whole. One that was never written may have any content.
   */
  int (*read)(void *context, uint32_t slot, uint8_t *out, uint32_t len);
  /**
   * Writes slot 0 or 1 whole and returns when it is durable. The slots must not share an erase
   * block: when the power fails, the other one keeps what it has.
   */
  int (*write)(void *context, uint32_t slot, const uint8_t *data, uint32_t len);
  /**
   * The 32 bytes that the slots are sealed with: always the same, and of this device alone
   * (fuses, PUF, a unique key of the chip). Who has them and the flash has the device's key.
   */
  int (*sealing_key)(void *context, uint8_t *key);
  /**
   * What tells this device from all others, for provisioning over the air: at most *len (128)
   * bytes into `out`; *len becomes their number.
   */
  int (*fingerprint)(void *context, uint8_t *out, uint32_t *len);
} muster_hal_t;

/**
 * A carrier that keeps identity and key by itself: a secure element, or a trusted application.
 * The functions of muster_hal_t for slots and the sealing key are not used with it.
 */
typedef struct {
  /**
   * Whatever the functions want to know.
   */
  void *context;
  /**
   * The 24 characters of the identity, and MUSTER_KEY_* of its key; IROT_ERROR_ITEM_NOT_FOUND
   * when there is none.
   */
  int (*identity)(void *context, uint8_t *id, int *key_type);
  /**
   * Runs whole blocks through a symmetric key in ECB, in place: 0 encrypts, 1 decrypts. NULL when
   * the key is of another kind.
   */
  int (*blocks)(void *context, int decrypt, uint8_t *data, uint32_t len);
  /**
   * Signs a digest (RSA: PKCS#1 v1.5 with SHA-256; curves: r and s) into `out`, which has *out_len
   * (256) bytes. NULL for symmetric keys.
   */
  int (*sign)(void *context,
              const uint8_t *digest,
              uint32_t digest_len,
              uint8_t *out,
              uint32_t *out_len);
  /**
   * Decrypts for an asymmetric key into `out`, which has *out_len (512) bytes. NULL when it
   * cannot.
   */
  int (*decrypt)(void *context, const uint8_t *data, uint32_t len, uint8_t *out, uint32_t *out_len);
  /**
   * The 32 bytes of Z of an SM2 key. NULL for all others.
   */
  int (*sm2_z)(void *context, uint8_t *z);
  /**
   * Keeps an identity and a symmetric key in place of what was there, whole or not at all. NULL
   * when that is done at the maker's.
   */
  int (*install)(void *context, const uint8_t *id, int key_type, const uint8_t *key, uint32_t len);
} muster_carrier_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Says what the board can. To be called before id2_client_init; the structure is copied. On a
 * machine with files there is one already (MUSTER_DEVICE_DIR, else /var/lib/muster-device).
 *
 * @return IROT_ERROR_BAD_PARAMETERS for NULL or a structure without `random`, IROT_ERROR_GENERIC
 * while the client runs.
 */
irot_result_t muster_set_hal(const muster_hal_t *hal);

/**
 * Gives identity and key to a carrier, or back to the HAL's slots with NULL. To be called before
 * id2_client_init; the structure is copied.
 *
 * @return IROT_ERROR_BAD_PARAMETERS for a structure without `identity`, IROT_ERROR_GENERIC while the
 * client runs.
 */
irot_result_t muster_set_carrier(const muster_carrier_t *carrier);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MUSTER_HAL_H */
