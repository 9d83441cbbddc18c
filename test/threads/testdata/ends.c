// How processes with threads end. Argument 1 says how; 2 is how many threads
// stand around meanwhile.
#include "guest.h"

static _Atomic int never, spin;
static int how;

static void idle(int id) {
  if (id % 2)
    wait32(&never, 0, -1);
  while (!spin)
    ;
}

static void last(int id) {
  char *p = 0;
  (void)id;
  switch (how) {
  case 1: proc_exit(7);                             // in a thread
  case 2: __builtin_trap();                         // in a thread
  case 3: wait32((_Atomic int *)(p + 2), 0, -1); break;  // misaligned
  case 4: wait32((_Atomic int *)(p + 0x7ffffff0), 0, -1); break;
  case 5: __builtin_wasm_memory_atomic_notify((int *)(p + 1), 1); break;
  case 6: __builtin_wasm_memory_atomic_notify((int *)(p - 4), 1); break;
  case 7: __builtin_wasm_memory_atomic_wait64((long long *)(p + 4), 0, -1); break;
  case 8: (*(_Atomic int *)(p + 0x7ffffffc))++; break;
  case 9: (*(_Atomic int *)(p + 6))++; break;
  }
}

EXPORT("_start") void _start(void) {
  how = arg(1, 0);
  int n = arg(2, 4);
  for (int i = 0; i < n; i++)
    if (spawn(i, idle) <= 0)
      proc_exit(9);
  if (how == 0)
    return; // main's end is the process's
  if (how == 10)
    proc_exit(5);
  if (how == 11)
    for (;;)
      wait32(&never, 0, -1); // nobody wakes it
  spawn(n, last);
  for (;;)
    wait32(&never, 0, -1);
}
