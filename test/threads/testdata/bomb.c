// Spawns until that fails, then again and again short-lived threads, in the
// places of those that have ended.
#include "guest.h"

static _Atomic int gate, ran;

static void stand(int id) {
  (void)id;
  wait32(&gate, 0, -1);
}
static void flit(int id) {
  (void)id;
  ran++;
}

EXPORT("_start") void _start(void) {
  int n = 0;
  int32_t r;
  while (n < MAX_THREADS && (r = spawn(n, stand)) > 0)
    n++;
  print("threads ", n);
  print("errno ", -r);
  gate = 1;
  notify(&gate, -1);
  join(n);
  int more = arg(1, 1000), failed = 0;
  for (int i = 0; i < more; i++) {
    while ((r = spawn(i % 64, flit)) < 0) {
      failed = 1;
      sched_yield();
    }
    join(n + i + 1);
  }
  print("ran ", ran);
  (void)failed;
}
