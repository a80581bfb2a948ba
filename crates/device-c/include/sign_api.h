/* Made from the Rust sources by the test `headers`; change those. */

#ifndef SIGN_API_H
#define SIGN_API_H

#include <stdbool.h>
#include <stdint.h>

/** Where to connect. */
typedef enum {
  IOTX_CLOUD_REGION_SHANGHAI,
  IOTX_CLOUD_REGION_SINGAPORE,
  IOTX_CLOUD_REGION_JAPAN,
  IOTX_CLOUD_REGION_USA_WEST,
  IOTX_CLOUD_REGION_GERMANY,
  IOTX_CLOUD_REGION_CUSTOM,
  IOTX_CLOUD_DOMAIN_MAX
} iotx_mqtt_region_types_t;

/**
 * Most characters of a ProductKey.
 */
#define IOTX_PRODUCT_KEY_LEN 20

/**
 * Most characters of a DeviceName.
 */
#define IOTX_DEVICE_NAME_LEN 32

/**
 * Most characters of a DeviceSecret.
 */
#define IOTX_DEVICE_SECRET_LEN 64

/**
 * Most characters of a ProductSecret.
 */
#define IOTX_PRODUCT_SECRET_LEN 64

/**
 * Room for a host name and its NUL.
 */
#define DEV_SIGN_HOSTNAME_MAXLEN 64

/**
 * Room for a client id and its NUL.
 */
#define DEV_SIGN_CLIENT_ID_MAXLEN 200

/**
 * Room for a user name and its NUL.
 */
#define DEV_SIGN_USERNAME_MAXLEN 64

/**
 * Room for a password and its NUL.
 */
#define DEV_SIGN_PASSWORD_MAXLEN 65

/**
 * Who connects. All are texts that end with NUL.
 */
typedef struct {
  /**
   * ProductKey
   */
  char product_key[21];
  /**
   * ProductSecret; plays no part in this signature and is not read.
   */
  char product_secret[65];
  /**
   * DeviceName
   */
  char device_name[33];
  /**
   * DeviceSecret
   */
  char device_secret[65];
} iotx_dev_meta_info_t;

/**
 * What an MQTT client needs. All are texts that end with NUL.
 */
typedef struct {
  /**
   * The full host name.
   */
  char hostname[64];
  /**
   * The port.
   */
  uint16_t port;
  /**
   * The MQTT client id.
   */
  char clientid[200];
  /**
   * The MQTT user name.
   */
  char username[64];
  /**
   * The MQTT password.
   */
  char password[65];
} iotx_sign_mqtt_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Computes the login of a device.
 *
 * @param[in]  region  IOTX_CLOUD_REGION_CUSTOM takes the host of muster_sign_set_host.
 * @param[in]  meta
 * @param[out] signout
 *
 * @return 0, or -1 for an illegal argument; then nothing was written.
 */
int32_t IOT_Sign_MQTT(iotx_mqtt_region_types_t region,
                      iotx_dev_meta_info_t *meta,
                      iotx_sign_mqtt_t *signout);

/**
 * Says which host IOTX_CLOUD_REGION_CUSTOM means, and whether to connect with TLS (port 443) or
 * without (port 1883). Not in the vendor's header, where both are set elsewhere.
 *
 * @param[in] host at most 63 characters and a NUL; NULL for none.
 * @param[in] tls  true unless this is called.
 *
 * @return 0, or -1 for an illegal argument.
 */
int32_t muster_sign_set_host(const char *host, bool tls);

/**
 * Has the next logins made for iTLS (port 1883, `securemode=8`, `authtype=id2`); what
 * muster_sign_set_host says of TLS takes its place again. Not in the vendor's header.
 *
 * @return 0.
 */
int32_t muster_sign_use_itls(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SIGN_API_H */
