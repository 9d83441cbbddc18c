// Pipes full and empty, their ends closed, and what dup shares.
#include "posix.h"

static char block[4096];

int main(void) {
  int fds[2];
  char c = 0;
  if (pipe2(fds, O_NONBLOCK))
    return 1;
  say("empty: %d", (int)read(fds[0], &c, 1));
  say(" %d\n", errno == EAGAIN);
  int total = 0, n;
  while ((n = (int)write(fds[1], block, sizeof block)) > 0)
    total += n;
  say("full: %d %d after %d\n", n, errno == EAGAIN, total);
  say("no room for one: %d", (int)write(fds[1], "x", 1));
  say(" %d\n", errno == EAGAIN);
  say("a page out: %d\n", (int)read(fds[0], block, sizeof block));
  say("a page in: %d\n", (int)write(fds[1], block, sizeof block));
  int back = 0;
  while ((n = (int)read(fds[0], block, 1000)) > 0)
    back += n;
  say("all out: %d\n", back);
  close(fds[1]);
  say("end: %d\n", (int)read(fds[0], &c, 1));
  close(fds[0]);

  signal(SIGPIPE, SIG_IGN);
  if (pipe(fds))
    return 2;
  close(fds[0]);
  say("nobody reads: %d", (int)write(fds[1], "x", 1));
  say(" %d\n", errno == EPIPE);
  close(fds[1]);
  say("closed: %d", (int)write(fds[1], "x", 1));
  say(" %d\n", errno == EBADF);

  // A writer waits until there is room, a reader until there is something.
  if (pipe(fds))
    return 3;
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[0]);
    for (int i = 0; i < 300; i++) {
      memset(block, i, 1000);
      if (write(fds[1], block, 1000) != 1000)
        _exit(1);
    }
    _exit(0);
  }
  close(fds[1]);
  unsigned sum = 0;
  for (total = 0; (n = (int)read(fds[0], block, sizeof block)) > 0; total += n)
    for (int i = 0; i < n; i++)
      sum = sum * 31 + (unsigned char)block[i];
  int status;
  waitpid(pid, &status, 0);
  say("through: %d, sum %u, status %d\n", total, sum, status);
  close(fds[0]);

  // The end comes when the last of all copies is closed.
  if (pipe(fds))
    return 4;
  int copy = dup(fds[1]);
  int at = dup2(fds[1], 40);
  close(fds[1]);
  say("copies: %d %d\n", (int)write(copy, "ab", 2), (int)write(at, "cd", 2));
  close(copy);
  close(at);
  n = (int)read(fds[0], block, 10);
  say("read %d, then %d\n", n, (int)read(fds[0], block, 10));
  say("dup2 of itself %d\n", dup2(fds[0], fds[0]) == fds[0]);
  say("of nothing %d", dup2(41, 42));
  say(" %d\n", errno == EBADF);
  int low = fcntl(fds[0], F_DUPFD, 50), exec = fcntl(fds[0], F_DUPFD_CLOEXEC, 50);
  say("from 50: %d %d, flags %d %d\n", low, exec, fcntl(low, F_GETFD), fcntl(exec, F_GETFD));
  return 0;
}
