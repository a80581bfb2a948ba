/* The C tests on a PC. */
#include "check.h"
#include <stdio.h>

int main(void)
{
  int failed = results();
  if (failed != 0) {
    fprintf(stderr, "results.c:%d\n", failed);
    return 1;
  }
  failed = vectors();
  if (failed != 0) {
    fprintf(stderr, "vectors.c:%d\n", failed);
    return 1;
  }
  failed = itls_results();
  if (failed != 0) {
    fprintf(stderr, "itls.c:%d\n", failed);
    return 1;
  }
  puts("all good");
  return 0;
}
