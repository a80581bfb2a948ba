/* hal_itls.h: wrong calls, and handles that are none. Not on bare metal, which has no sockets. */
#include "check.h"
#include "hal_itls.h"

int itls_results(void)
{
  char version[16], byte = 'x';
  uintptr_t handle;
  id2_client_cleanup();
  hal_itls_get_version(NULL);
  memset(version, 1, sizeof version);
  hal_itls_get_version(version);
  CHECK(strlen(version) >= 5 && strlen(version) < 16);
  hal_itls_set_debug_level(4);
  CHECK(hal_itls_establish(NULL, 1, "pk", "t") == 0);
  CHECK(hal_itls_establish("127.0.0.1", 1, NULL, "t") == 0);
  CHECK(hal_itls_establish("127.0.0.1", 1, "pk", NULL) == 0);
  CHECK(hal_itls_establish("127.0.0.1", 70000, "pk", "t") == 0);
  CHECK(hal_itls_establish_timeout("127.0.0.1", 1, "pk", "t", 1) == 0);
  CHECK(hal_itls_get_alert_type() == 0);
  CHECK(id2_client_init() == IROT_SUCCESS);
  CHECK(id2_client_wrap_do_provisioning("h", 70000, "pk", "t", 0) == IROT_ERROR_BAD_PARAMETERS);
  for (handle = 0; handle < 3; handle++) {
    CHECK(hal_itls_read(handle, &byte, 1, 1) == -2);
    CHECK(hal_itls_write(handle, &byte, 1, 1) == -2);
    CHECK(hal_itls_destroy(handle) == 0);
  }
  CHECK(hal_itls_read((uintptr_t)&handle, NULL, -1, -1) == -2);
  CHECK(hal_itls_write((uintptr_t)&handle, NULL, -1, -1) == -2);
  id2_client_cleanup();
  return 0;
}
