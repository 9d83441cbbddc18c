// A tree of processes: each has its own memory from where it was made, and tells
// its parent through a pipe what its part of the tree has come to.
#include "posix.h"

static int path[8], depth, changes;

static long grow(int levels) {
  long sum = 1;
  for (int i = 0; i < depth; i++)
    sum = sum * 7 + path[i];
  if (levels == 0)
    return sum;
  for (int child = 1; child <= 3; child++) {
    int fds[2];
    if (pipe(fds))
      exit(90);
    pid_t pid = fork();
    if (pid < 0)
      exit(91);
    if (pid == 0) {
      close(fds[0]);
      path[depth++] = child;
      changes++;
      long mine = grow(levels - 1) + changes * 100000L;
      if (write(fds[1], &mine, sizeof mine) != sizeof mine)
        exit(92);
      exit(depth * 10 + child);
    }
    close(fds[1]);
    long theirs;
    if (read(fds[0], &theirs, sizeof theirs) != sizeof theirs)
      exit(93);
    close(fds[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
      exit(94);
    if (WEXITSTATUS(status) != (depth + 1) * 10 + child)
      exit(95);
    sum += theirs % 1000003;
  }
  return sum;
}

int main(void) {
  int parent = getpid();
  say("tree %ld\n", grow(4));
  say("depth %d changes %d same %d\n", depth, changes, getpid() == parent);

  // All at once, waited for afterwards, in the order in which they were made.
  pid_t pids[10];
  for (int i = 0; i < 10; i++)
    if ((pids[i] = fork()) == 0) {
      volatile long work = 0;
      for (long k = 0; k < 20000L * (10 - i); k++)
        work += k;
      exit(getppid() == parent ? i : 99);
    }
  for (int i = 0; i < 10; i++) {
    int status;
    pid_t got = waitpid(pids[i], &status, 0);
    say("child %d: %d %d\n", i, got == pids[i], WEXITSTATUS(status));
  }
  return 0;
}
