/* Names every function of the headers, so that the program's size is the SDK's. */
#include "id2_client.h"
#include "muster_hal.h"
#include "sign_api.h"

typedef void (*any)(void);

const any FUNCTIONS[] = {
  (any)id2_client_init,
  (any)id2_client_cleanup,
  (any)id2_client_get_version,
  (any)id2_client_get_id,
  (any)id2_client_get_challenge_auth_code,
  (any)id2_client_get_timestamp_auth_code,
  (any)id2_client_decrypt,
  (any)id2_client_get_device_challenge,
  (any)id2_client_verify_server,
  (any)id2_client_get_secret,
  (any)id2_client_derive_key,
  (any)id2_client_set_id2_and_key,
  (any)id2_client_get_prov_stat,
  (any)id2_client_get_otp_auth_code,
  (any)id2_client_load_otp_data,
  (any)id2_client_wrap_do_provisioning,
  (any)muster_harden_auth_codes,
  (any)muster_key_auth_codes,
  (any)muster_set_hal,
  (any)muster_set_carrier,
  (any)IOT_Sign_MQTT,
  (any)muster_sign_set_host,
  (any)muster_sign_use_itls,
};

void reset(void);

__attribute__((section(".vectors"), used)) void reset(void)
{
  const volatile any *at;
  for (at = FUNCTIONS; at < FUNCTIONS + sizeof FUNCTIONS / sizeof FUNCTIONS[0]; at++)
    (void)*at;
}
