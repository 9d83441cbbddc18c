// Threads that only compute, for ever.
#include "guest.h"

static volatile uint32_t sinks[MAX_THREADS];

static void spin(int id) {
  for (uint32_t x = 1;; x++)
    sinks[id] += x * 1664525 + 1013904223;
}

EXPORT("_start") void _start(void) {
  int n = arg(1, 8);
  for (int i = 1; i < n; i++)
    spawn(i, spin);
  spin(0);
}
