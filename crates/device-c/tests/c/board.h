/* A board in memory: two slots, a sealing key, a fingerprint, and "random" bytes that repeat. */
#ifndef BOARD_H
#define BOARD_H

#include "check.h"

static uint8_t board_slots[2][MUSTER_SLOT_LEN];
static const uint8_t *board_random_bytes;
static uint32_t board_random_len;
static int board_random_result;
static int board_write_result;

static int board_random(void *context, uint8_t *out, uint32_t len)
{
  uint32_t i;
  (void)context;
  for (i = 0; i < len; i++)
    out[i] = board_random_bytes[i % board_random_len];
  return board_random_result;
}

static int board_read(void *context, uint32_t slot, uint8_t *out, uint32_t len)
{
  (void)context;
  memcpy(out, board_slots[slot], len);
  return IROT_SUCCESS;
}

static int board_write(void *context, uint32_t slot, const uint8_t *data, uint32_t len)
{
  (void)context;
  if (board_write_result != IROT_SUCCESS)
    return board_write_result;
  memcpy(board_slots[slot], data, len);
  return IROT_SUCCESS;
}

static int board_sealing_key(void *context, uint8_t *key)
{
  (void)context;
  memset(key, 0x5a, 32);
  return IROT_SUCCESS;
}

static int board_fingerprint(void *context, uint8_t *out, uint32_t *len)
{
  (void)context;
  memset(out, '1', 16);
  *len = 16;
  return IROT_SUCCESS;
}

static int board_set(const void *random, uint32_t len)
{
  static const muster_hal_t hal = {NULL,        board_random,      board_read,
                                   board_write, board_sealing_key, board_fingerprint};
  board_random_bytes = (const uint8_t *)random;
  board_random_len = len;
  return muster_set_hal(&hal);
}

#endif
