// Litmus tests: what sequentially consistent atomics forbid. Four threads go
// through rounds together; thread 0 looks at what came of each.
#include "guest.h"

static _Atomic int x, y, arrived, phase;
static int r[4];
static uint32_t forbidden[3], relaxed;
static int rounds;

// together waits until all four are here: by spinning, by yielding, by waiting
// for a wake-up, in turn.
static void together(int n) {
  if (arrived++ == 4 * n + 3) {
    phase = n + 1;
    notify(&phase, -1);
    return;
  }
  for (int spins = 0; phase <= n; spins++)
    if (n % 3 == 0 || (n % 3 == 1 && spins > 2000))
      wait32(&phase, n, -1);
    else if (n % 3 == 1)
      continue;
    else
      sched_yield();
}

static void work(int id) {
  int n = 0;
  for (int i = 0; i < rounds; i++) {
    together(n++);
    switch (i % 3) {
    case 0: // store buffering: not both zero
      if (id == 0) { x = 1; r[0] = y; }
      if (id == 1) { y = 1; r[1] = x; }
      break;
    case 1: // message passing: the flag comes after the message
      if (id == 0) { x = 1; y = 1; }
      if (id == 1) { r[0] = y; r[1] = x; }
      break;
    case 2: // independent reads of independent writes: one order for all
      if (id == 0) x = 1;
      if (id == 1) y = 1;
      if (id == 2) { r[0] = x; r[1] = y; }
      if (id == 3) { r[2] = y; r[3] = x; }
      break;
    }
    together(n++);
    if (id == 0) {
      switch (i % 3) {
      case 0: forbidden[0] += r[0] == 0 && r[1] == 0; break;
      case 1: forbidden[1] += r[0] == 1 && r[1] == 0; break;
      case 2: forbidden[2] += r[0] && !r[1] && r[2] && !r[3]; break;
      }
      relaxed += r[0];
      x = y = 0;
      r[0] = r[1] = r[2] = r[3] = 0;
    }
  }
}

EXPORT("_start") void _start(void) {
  rounds = arg(1, 1000);
  for (int i = 1; i < 4; i++)
    spawn(i, work);
  work(0);
  join(3);
  print("store buffering ", forbidden[0]);
  print("message passing ", forbidden[1]);
  print("independent reads ", forbidden[2]);
}
