// A storm of signals: processes that send one another four kinds as fast as they can,
// until each has had enough of each, whose handlers interrupt one another.
#include "posix.h"

enum { PROCESSES = 8, KINDS = 4, ENOUGH = 10 };

static const int kinds[KINDS] = {SIGUSR1, SIGUSR2, SIGALRM, SIGHUP};
static volatile int got[65], inside, deepest, stopped;

static void count(int sig) {
  inside++;
  if (inside > deepest)
    deepest = inside;
  got[sig]++;
  inside--;
}
static void stop(int sig) { stopped = sig; }

static int enough(void) {
  for (int k = 0; k < KINDS; k++)
    if (got[kinds[k]] < ENOUGH)
      return 0;
  return 1;
}

// storm sends signals to another process until it is told to stop, and writes a byte once
// it has got enough itself.
static void storm(int to, int fd) {
  int told = 0;
  for (unsigned i = 0; !stopped; i++) {
    kill(to, kinds[i % KINDS]);
    if (!told && enough())
      told = write(fd, "e", 1) == 1;
  }
  _exit(told && inside == 0 && deepest <= KINDS ? 7 : 8);
}

int main(void) {
  for (int k = 0; k < KINDS; k++)
    signal(kinds[k], count);
  signal(SIGTERM, stop);
  int pids[PROCESSES], begin[2], done[2], status, right = 0;
  if (pipe(begin) || pipe(done))
    return 1;
  for (int i = 0; i < PROCESSES; i++)
    if ((pids[i] = fork()) == 0) {
      int all[PROCESSES];
      if (read(begin[0], all, sizeof all) != sizeof all)
        _exit(9);
      storm(all[(i + 1) % PROCESSES], done[1]);
    }
  for (int i = 0; i < PROCESSES; i++)
    if (write(begin[1], pids, sizeof pids) != sizeof pids)
      return 2;
  char c;
  for (int i = 0; i < PROCESSES; i++)
    if (read(done[0], &c, 1) != 1)
      return 3;
  for (int i = 0; i < PROCESSES; i++)
    kill(pids[i], SIGTERM);
  for (int i = 0; i < PROCESSES; i++)
    right += waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) == 7;
  say("%d processes had enough\n", right);
  return 0;
}
