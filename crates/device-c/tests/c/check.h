/* What the C tests share: a check that tells its line, and a board in memory. */
#ifndef CHECK_H
#define CHECK_H

#include "id2_client.h"
#include "muster_hal.h"
#include <stdint.h>
#include <string.h>

/* The test's result: 0, or the line of the first check that failed. */
int results(void);
int vectors(void);
int itls_results(void);

#define CHECK(what)                                                                                \
  do {                                                                                             \
    if (!(what))                                                                                   \
      return __LINE__;                                                                             \
  } while (0)

#endif
