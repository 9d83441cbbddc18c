// Threads in every kind of wait. The first byte that is read from fd 0 has main
// wake all of them; what comes of each wait is printed.
#include "guest.h"

static int threads;
static _Atomic int gates[MAX_THREADS];
static _Atomic long long wide[MAX_THREADS];
static _Atomic int line, go, spinners;
static lock_t guard;
static _Atomic int woken;
static int order[MAX_THREADS];
static int results[MAX_THREADS];
static _Atomic int began;

#define SECOND 1000000000ll

static void sleep_for(int64_t ns) {
  struct {
    uint64_t user;
    uint8_t type;
    uint8_t pad[7];
    uint32_t clock;
    uint32_t pad2;
    uint64_t timeout, precision;
    uint16_t flags;
    uint8_t pad3[6];
  } sub = {.clock = 1, .timeout = ns};
  char event[32];
  uint32_t n;
  poll_oneoff(&sub, event, 1, &n);
}

static void work(int id) {
  int64_t at = now();
  began++;
  switch (id % 8) {
  case 0:
    results[id] = 10 + wait32(&gates[id], 0, -1);
    break;
  case 1:
    results[id] = 20 + wait32(&gates[id], 0, 1000 * SECOND);
    if (now() - at < 1000 * SECOND)
      results[id] = 99;
    break;
  case 2:
    results[id] = 30 + __builtin_wasm_memory_atomic_wait64((long long *)&wide[id], 0, 1000000 * SECOND);
    break;
  case 3:
    sleep_for(2000 * SECOND);
    results[id] = now() - at < 2000 * SECOND ? 99 : 40;
    break;
  case 4: {
    char c = 0;
    struct { void *p; int n; } v = {&c, 1};
    uint32_t n = 0;
    fd_read(0, &v, 1, &n);
    results[id] = 50 + n + (c == 'x');
    go = 1;
    notify(&go, 1);
    break;
  }
  case 5: {
    uint32_t x = 1;
    while (!spinners)
      x = x * 1664525 + 1013904223;
    results[id] = 60 + (x == 0);
    break;
  }
  case 6:
    results[id] = 70 + wait32(&line, 0, -1);
    order[woken] = id;
    woken++;
    notify(&woken, 1);
    break;
  case 7:
    lock(&guard);
    results[id] = 80;
    unlock(&guard);
    break;
  }
}

EXPORT("_start") void _start(void) {
  threads = arg(1, 64);
  lock(&guard);
  for (int i = 0; i < threads; i++)
    if (spawn(i, work) <= 0)
      proc_exit(9);
  while (!go)
    wait32(&go, 0, -1);
  unlock(&guard);
  for (int i = 6, n = 0; i < threads; i += 8, n++) {
    while (notify(&line, 1) != 1)
      sched_yield();
    while (woken != n + 1)
      wait32(&woken, n, -1);
  }
  for (int i = 0; i < threads; i += 8)
    while (notify(&gates[i], 1) != 1)
      sched_yield();
  for (int i = 2; i < threads; i += 8)
    while (__builtin_wasm_memory_atomic_notify((int *)&wide[i], 1) != 1)
      sched_yield();
  spinners = 1;
  join(threads);
  for (int i = 0; i < threads; i++)
    print("result ", results[i]);
  for (int i = 0; i < woken; i++)
    print("order ", starts[order[i]].tid);
}
