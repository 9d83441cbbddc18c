// Jumps back to where a stack was kept: out of depths, several times, out of a
// handler. What is to outlive a jump is static.
#include "posix.h"

static jump_buf top, inner;
static int tries, level, sum;

__attribute__((noinline)) static int descend(int n, int to) {
  int below[4] = {n, n + 1, n + 2, n + 3};
  if (n == to)
    jump(&top, to);
  return descend(n + 1, to) + below[n % 4];
}

static void out(int sig) { jump(&top, 100 + sig); }

__attribute__((noinline)) static void twice(void) {
  static int seen;
  int v = checkpoint(&inner);
  say("inner %d seen %d\n", v, seen);
  if (seen++ < 3)
    jump(&inner, seen * 10);
  jump(&top, 55);
}

int main(void) {
  int v = checkpoint(&top);
  say("top %d tries %d\n", v, tries);
  switch (tries++) {
  case 0:
    descend(0, 3);
    break;
  case 1:
    descend(0, 200);
    break;
  case 2:
    jump(&top, 0); // is 1
    break;
  case 3:
    twice();
    break;
  case 4:
    signal(SIGUSR1, out);
    kill(getpid(), SIGUSR1);
    say("not reached\n");
    return 1;
  }
  // Errors as a program without exceptions has them: many jumps of a loop.
  for (level = 0; level < 500; level++) {
    int got = checkpoint(&inner);
    if (got == 0) {
      if (level % 3 == 0)
        jump(&inner, level + 1);
      sum += 1000;
    } else {
      sum += got;
    }
  }
  say("sum %d\n", sum);
  return 0;
}
