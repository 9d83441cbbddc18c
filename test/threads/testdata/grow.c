// Threads that grow the memory and use what they and others have added, while
// others come and go.
#include "guest.h"

static _Atomic uint32_t pages[256];
static _Atomic int grown, stopped;
static _Atomic uint64_t sum;
static int most;

static void grower(int id) {
  for (;;) {
    uint32_t was = __builtin_wasm_memory_grow(0, 1);
    if (was == (uint32_t)-1)
      break;
    volatile uint32_t *p = (uint32_t *)(was << 16);
    p[0] = was ^ 0x5a5a;
    p[16383] = was;
    int at = grown++;
    pages[at] = was;
    for (int i = 0; i < at; i++) { // what others have added
      uint32_t o = pages[i];
      if (!o)
        continue;
      volatile uint32_t *q = (uint32_t *)(o << 16);
      if (q[16383] != o || q[0] != (o ^ 0x5a5a))
        proc_exit(3);
      if (__builtin_wasm_memory_size(0) <= o)
        proc_exit(4);
    }
    (void)id;
  }
  stopped++;
}

static void flit(int id) {
  volatile uint32_t *p = (uint32_t *)((__builtin_wasm_memory_size(0) << 16) - 4);
  sum += *p & 0 & id;
}

EXPORT("_start") void _start(void) {
  most = arg(1, 4);
  for (int i = 0; i < most; i++)
    spawn(i, grower);
  int n = most;
  while (stopped < most)
    if (spawn(most + n % 32, flit) > 0)
      join(++n - most); // the growers may be among those
  join(n);
  uint64_t total = 0;
  for (int i = 0; i < grown; i++)
    total += pages[i];
  print("pages ", __builtin_wasm_memory_size(0));
  print("total ", total);
}
