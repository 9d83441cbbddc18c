// Stacks that switch to each other: generators, and a ring.
#include "posix.h"

static uint64_t self[8], main_fiber;
static int value, done, steps;
static char log_[64];

__attribute__((noinline)) static void walk(int depth) {
  int here = depth * 10;
  if (depth < 4) {
    walk(depth + 1);
    value = here;
    fiber_switch(main_fiber);
    walk(depth + 1);
  } else {
    value = here + 1;
    fiber_switch(main_fiber);
  }
}

static void generate(void) {
  walk(0);
  done = 1;
  fiber_switch(main_fiber);
}

static int now;
static void ring(void) {
  int me = now;
  for (int turn = 0;; turn++) {
    log_[steps++] = (char)('a' + me);
    if (steps == 40) {
      log_[steps] = 0;
      fiber_switch(main_fiber);
    }
    now = (me + 1 + turn % 2) % 5;
    fiber_switch(self[now]);
  }
}

static void never(void) {
  say("not switched to\n");
  fiber_switch(main_fiber);
}

int main(void) {
  uint64_t g = fiber_new(generate);
  int n = 0;
  unsigned sum = 0;
  for (;;) {
    fiber_switch(g);
    if (done)
      break;
    n++;
    sum = sum * 31 + (unsigned)value;
  }
  say("generated %d, sum %u\n", n, sum);
  fiber_destroy(g);
  for (int i = 0; i < 5; i++)
    self[i] = fiber_new(ring);
  now = 2;
  fiber_switch(self[2]);
  say("ring %s\n", log_);
  for (int i = 0; i < 5; i++)
    fiber_destroy(self[i]);
  fiber_destroy(fiber_new(never));
  say("end\n");
  return 0;
}
