/* The C tests on a Cortex-M3 without an operating system, and what the functions cost there: in
 * instructions (QEMU's `-icount shift=0` lets one instruction take one nanosecond, and SysTick counts
 * 40 of them) and in bytes of stack. Prints through semihosting; the last line is the verdict. */
#include "../c/board.h"

extern uint32_t data_start, data_end, data_load, bss_start, bss_end, stack_low, stack_top;
int main(void);

#define PAINT 0xa5a5a5a5u
#define TICK 40u

static long semihost(long op, const void *argument)
{
  register long r0 __asm__("r0") = op;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void say(const char *text) { semihost(4, text); }

static void say_number(const char *what, uint32_t value)
{
  char digits[12];
  int at = 11;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  say(what);
  say(" ");
  say(digits + at);
  say("\n");
}

static void leave(int good)
{
  /* ADP_Stopped_ApplicationExit, else ADP_Stopped_RunTimeError. */
  semihost(0x18, (const void *)(good ? 0x20026 : 0x20023));
  for (;;)
    ;
}

void reset(void)
{
  uint32_t *to, *from = &data_load;
  for (to = &data_start; to < &data_end;)
    *to++ = *from++;
  for (to = &bss_start; to < &bss_end;)
    *to++ = 0;
  leave(main());
}

static void fault(void)
{
  say("fault\n");
  leave(0);
}

__attribute__((section(".vectors"), used)) static void (*const VECTORS_OF_CPU[16])(void) = {
  (void (*)(void))&stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0,
  fault, fault, 0, fault, fault};

#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)

static void clock_start(void)
{
  SYST_RVR = 0xffffff;
  SYST_CVR = 0;
  SYST_CSR = 5;
  /* It is loaded at the first tick. */
  while (SYST_CVR == 0)
    ;
}

static uint32_t clock_ticks(void) { return 0xffffff - SYST_CVR; }

static void paint(void)
{
  uint32_t *at = &stack_low;
  uint32_t *here = (uint32_t *)__builtin_frame_address(0) - 16;
  while (at < here)
    *at++ = PAINT;
}

static uint32_t painted_over(const uint32_t *from)
{
  const uint32_t *at = &stack_low;
  while (*at == PAINT)
    at++;
  return (uint32_t)((const uint8_t *)from - (const uint8_t *)at);
}

static const struct {
  const char *name;
  const char *id;
  int type;
  const char *key;
} KEYS[] = {
  {"aes-128", "2122232425262728292A2B2C", 2, "2122232425262728292a2b2c2d2e2f30"},
  {"aes-192", "2122232425262728292A2B2C", 2, "2122232425262728292a2b2c2d2e2f303132333435363738"},
  {"aes-256", "2122232425262728292A2B2C", 2,
   "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40"},
  {"3des-112", "2122232425262728292A2B2C", 1, "2122232425262728292a2b2c2d2e2f30"},
  {"3des-168", "2122232425262728292A2B2C", 1, "2122232425262728292a2b2c2d2e2f303132333435363738"},
  {"sm4", "2122232425262728292A2B2C", 3, "2122232425262728292a2b2c2d2e2f30"},
};

static int costs(void)
{
  uint8_t out[256];
  uint32_t len, i, before;
  memset(board_slots, 0xff, sizeof board_slots);
  CHECK(board_set("\x01\x23\x45\x67", 4) == IROT_SUCCESS);
  CHECK(id2_client_init() == IROT_SUCCESS);
  for (i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
    CHECK(id2_client_set_id2_and_key(KEYS[i].id, KEYS[i].type, KEYS[i].key) == IROT_SUCCESS);
    len = sizeof out;
    clock_start();
    before = clock_ticks();
    CHECK(id2_client_get_challenge_auth_code("55B83408399FA660F05C82E4F25333DC", NULL, 0, out,
                                             &len) == IROT_SUCCESS);
    before = clock_ticks() - before;
    say("instructions ");
    say_number(KEYS[i].name, before * TICK);
  }
  CHECK(id2_client_cleanup() == IROT_SUCCESS);
  return 0;
}

/* The server's code of the vectors with one character of its signature changed: to refuse it takes
 * the same number of instructions wherever that character stands. */
static int comparison(void)
{
  static const char GOOD[] =
    "10~2~67452301EFCDAB89~UXzFHtUqvwHIpaDXg/9i5EVaLXHK0wwfoW7YageoYkOXnA1nt3r97vPi1Bnh6fF1";
  const uint32_t sig = 22;
  uint32_t at, round, ticks, least = 0xffffffff, most = 0;
  char text[sizeof GOOD];
  CHECK(id2_client_init() == IROT_SUCCESS);
  CHECK(id2_client_set_id2_and_key(KEYS[0].id, KEYS[0].type, KEYS[0].key) == IROT_SUCCESS);
  CHECK(GOOD[sig - 1] == '~');
  for (at = sig; at < sizeof GOOD - 1; at++) {
    memcpy(text, GOOD, sizeof GOOD);
    text[at] = text[at] == 'A' ? 'B' : 'A';
    clock_start();
    for (round = 0; round < 16; round++)
      CHECK(id2_client_verify_server((const uint8_t *)text, sizeof GOOD - 1,
                                     (const uint8_t *)"67452301EFCDAB89", 16, NULL,
                                     0) == IROT_ERROR_GENERIC);
    ticks = clock_ticks();
    least = ticks < least ? ticks : least;
    most = ticks > most ? ticks : most;
  }
  say_number("verify", most * TICK / 16);
  say_number("verify-spread", (most - least) * TICK / 16);
  CHECK(id2_client_cleanup() == IROT_SUCCESS);
  return 0;
}

int main(void)
{
  const uint32_t *here = (const uint32_t *)__builtin_frame_address(0);
  int failed;
  paint();
  if ((failed = results()) != 0) {
    say_number("results.c", (uint32_t)failed);
    return 0;
  }
  if ((failed = vectors()) != 0) {
    say_number("vectors.c", (uint32_t)failed);
    return 0;
  }
  say_number("stack", painted_over(here));
  if ((failed = costs()) != 0 || (failed = comparison()) != 0) {
    say_number("main.c", (uint32_t)failed);
    return 0;
  }
  say("all good\n");
  return 1;
}
