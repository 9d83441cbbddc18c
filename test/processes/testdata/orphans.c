// Processes whose parents have gone, and those that nobody has waited for.
#include "posix.h"

static int program(void) {
  int fds[2], status;
  int parent_gone = 0;
  if (pipe(fds))
    return 1;
  // A child leaves a grandchild behind, which gets another parent.
  pid_t pid = fork();
  if (pid == 0) {
    pid_t me = getpid();
    if (fork() == 0) {
      while (getppid() == me)
        sched_yield();
      int adopted = getppid() != me && getppid() > 0;
      if (write(fds[1], &adopted, sizeof adopted) != sizeof adopted)
        _exit(1);
      _exit(5);
    }
    _exit(7);
  }
  waitpid(pid, &status, 0);
  say("child %d\n", WEXITSTATUS(status));
  if (read(fds[0], &parent_gone, sizeof parent_gone) != sizeof parent_gone)
    return 2;
  say("adopted %d\n", parent_gone);
  say("not mine: %d", waitpid(-1, &status, 0));
  say(" %d\n", errno == ECHILD);

  // A zombie can be sent signals until it is waited for, and is what it was.
  pid = fork();
  if (pid == 0)
    _exit(9);
  while (waitpid(pid, &status, WNOHANG) == 0)
    sched_yield();
  say("waited for: %d", kill(pid, 0));
  say(" %d\n", errno == ESRCH);
  int gone[2];
  if (pipe(gone))
    return 3;
  pid = fork();
  if (pid == 0)
    _exit(10);
  close(gone[1]);
  char c;
  if (read(gone[0], &c, 1) != 0) // the end comes when the child has ended
    return 4;
  say("zombie: %d %d\n", kill(pid, 0), kill(pid, SIGKILL));
  waitpid(pid, &status, 0);
  say("still %d\n", WEXITSTATUS(status));

  // A flood of them, and all are found.
  enum { MANY = 50 };
  int sum = 0;
  for (int i = 0; i < MANY; i++)
    if (fork() == 0)
      _exit(i);
  for (int i = 0; i < MANY; i++) {
    if (wait(&status) <= 0)
      return 5;
    sum += WEXITSTATUS(status);
  }
  say("flood %d, then %d\n", sum, wait(&status));

  // Whoever is not wanted: children of one that ignores SIGCHLD leave nothing.
  signal(SIGCHLD, SIG_DFL);
  for (int i = 0; i < 5; i++)
    if ((pid = fork()) == 0) {
      if (fork() == 0)
        _exit(i); // nobody waits for this one
      _exit(20 + i);
    } else {
      if (waitpid(pid, &status, 0) != pid)
        return 6;
      say("%d ", WEXITSTATUS(status));
    }
  say("\n");
  return 0;
}

// The program runs as a child: the first process of a system adopts.
int main(void) {
  int status;
  pid_t pid = fork();
  if (pid == 0)
    _exit(program());
  if (waitpid(pid, &status, 0) != pid)
    return 1;
  return WEXITSTATUS(status);
}
