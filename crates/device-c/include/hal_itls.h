/* Made from the Rust sources by the test `headers`; change those. */

#ifndef HAL_ITLS_H
#define HAL_ITLS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of this library.
 *
 * @param[out] version 16 bytes; the text ends with NUL.
 */
void hal_itls_get_version(char *version);

/**
 * Does nothing: this library prints nothing. Here for programs that call it.
 *
 * @param[in] debug_level
 */
void hal_itls_set_debug_level(uint32_t debug_level);

/**
 * Opens a connection, within 10 seconds. See hal_itls_establish_timeout.
 *
 * @param[in] host           a name or an address, and a NUL.
 * @param[in] port           of the server's iTLS listener.
 * @param[in] product_key    at most 64 characters and a NUL.
 * @param[in] product_secret the product's token: 32 characters and a NUL.
 *
 * @return the handle; 0 when there is no connection.
 */
uintptr_t hal_itls_establish(const char *host,
                             uint32_t port,
                             const char *product_key,
                             const char *product_secret);

/**
 * Opens a connection and proves to the server who this device is, and to the device that the server
 * knows its key. A device without an ID2 is given one first, and keeps it. Starts the client
 * (id2_client_init) if it does not run.
 *
 * @param[in] host           a name or an address, and a NUL.
 * @param[in] port           of the server's iTLS listener.
 * @param[in] product_key    at most 64 characters and a NUL.
 * @param[in] product_secret the product's token: 32 characters and a NUL; read by a device without an
 * ID2 alone.
 * @param[in] timeout        seconds.
 *
 * @return the handle; 0 when there is no connection, and then hal_itls_get_alert_type may say why.
 */
uintptr_t hal_itls_establish_timeout(const char *host,
                                     uint32_t port,
                                     const char *product_key,
                                     const char *product_secret,
                                     uint32_t timeout);

/**
 * The number of the last alert that a server sent since a connection was last opened; 0 for none.
 *
 * 161 no quota, 162 no such ID2, 163 wrong auth code, 164 not activated, 165 timestamp expired, 166
 * wrong challenge, 167 not supported, 168 suspended, 169 discarded, 170 of another product, 171 and
 * 172 product key, 173 busy, 174 and 175 fingerprint, 176 server random, 177 hash, 178 key type, 160
 * anything else; below 160 those of TLS.
 *
 * @return the number.
 */
uint32_t hal_itls_get_alert_type(void);

/**
 * Tells the server good-bye and closes.
 *
 * @param[in] handle
 *
 * @return 0, also for a handle that is none.
 */
int32_t hal_itls_destroy(uintptr_t handle);

/**
 * Sends data.
 *
 * @param[in] handle
 * @param[in] buf
 * @param[in] len
 * @param[in] timeout_ms
 *
 * @return how many bytes were taken, which are sent before those of the next call; 0 when none was
 * in this time; less than 0 when the connection broke.
 */
int32_t hal_itls_write(uintptr_t handle, const char *buf, int len, int timeout_ms);

/**
 * Waits for data.
 *
 * @param[in]  handle
 * @param[out] buf
 * @param[in]  len        so many bytes are waited for.
 * @param[in]  timeout_ms
 *
 * @return how many bytes came in this time; -1 when the server has closed, -2 when the connection
 * broke.
 */
int32_t hal_itls_read(uintptr_t handle, char *buf, int len, int timeout_ms);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HAL_ITLS_H */
