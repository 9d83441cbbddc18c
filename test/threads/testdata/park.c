// As many threads as are asked for wait at one address until a byte is read from
// fd 0. Then each adds its number, in the order in which they came.
#define MAX_THREADS 10000
#define STACK 64
#include "guest.h"

static _Atomic int began, gate;
static _Atomic uint64_t sum;

static void stand(int id) {
  began++;
  wait32(&gate, 0, -1);
  sum += id;
}

EXPORT("_start") void _start(void) {
  int n = arg(1, 100);
  for (int i = 0; i < n; i++) {
    int32_t r;
    while ((r = spawn(i, stand)) < 0)
      sched_yield();
  }
  while (began < n)
    sched_yield();
  print("began ", began);
  char c = 0;
  struct { void *p; int n; } v = {&c, 1};
  uint32_t got;
  fd_read(0, &v, 1, &got);
  gate = 1;
  print("woken ", notify(&gate, -1));
  join(n);
  print("sum ", sum);
}
