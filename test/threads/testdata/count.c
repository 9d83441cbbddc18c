// Threads that count under a lock, with atomics of all widths, and by compare
// and exchange. What is printed does not depend on who runs when.
#include "guest.h"

static lock_t guard;
static struct {
  uint64_t plain;
  _Atomic uint64_t a64;
  _Atomic uint32_t a32, cas;
  _Atomic uint16_t a16;
  _Atomic uint8_t a8;
  uint64_t mix;
} counts;
static int rounds;

static void work(int id) {
  uint32_t x = id * 2654435761u + 1;
  uint64_t sum = 0;
  for (int i = 0; i < rounds; i++) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    sum += x & 255;
    counts.a64 += x & 3;
    counts.a32++;
    counts.a16++;
    counts.a8++;
    uint32_t old = counts.cas;
    while (!__c11_atomic_compare_exchange_weak(&counts.cas, &old, old + 2, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      ;
    if (i % 16 == 0) {
      lock(&guard);
      counts.plain++;
      counts.mix += sum;
      unlock(&guard);
    }
    if (i % 1024 == 0)
      sched_yield();
  }
}

EXPORT("_start") void _start(void) {
  int threads = arg(1, 4);
  rounds = arg(2, 1000);
  for (int i = 0; i < threads; i++)
    if (spawn(i, work) <= 0)
      proc_exit(9);
  join(threads);
  print("plain ", counts.plain);
  print("a64 ", counts.a64);
  print("a32 ", counts.a32);
  print("a16 ", counts.a16);
  print("a8 ", counts.a8);
  print("cas ", counts.cas);
  print("mix ", counts.mix);
}
