// Handlers of signals: in a loop that calls nothing, nested, and while a call
// waits.
#include "posix.h"

static volatile int got, order[16], n;

static void count(int sig) { got += sig; }

static void note(int sig) {
  order[n++] = sig;
  if (sig == SIGUSR1 && n == 1)
    kill(getpid(), SIGUSR2); // comes while this one runs
  order[n++] = -sig;
}

static unsigned spin_until(volatile int *flag) {
  unsigned x = 1;
  while (!*flag) { // no call in it
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
  }
  return x;
}

static volatile int told;
static void tell(int sig) {
  (void)sig;
  told = 1;
}

int main(void) {
  int status;
  // The parent's signal reaches a child that computes.
  int ready[2];
  if (pipe(ready))
    return 1;
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGUSR1, tell);
    char c = 'r';
    if (write(ready[1], &c, 1) != 1)
      _exit(1);
    unsigned x = spin_until(&told);
    _exit(x ? 11 : 12);
  }
  char c;
  if (read(ready[0], &c, 1) != 1)
    return 2;
  kill(pid, SIGUSR1);
  waitpid(pid, &status, 0);
  say("loop left: %d\n", WEXITSTATUS(status));

  // To itself: the handler has run when kill returns.
  signal(SIGUSR1, count);
  signal(SIGUSR2, count);
  for (int i = 0; i < 100; i++)
    kill(getpid(), i % 2 ? SIGUSR1 : SIGUSR2);
  say("counted %d\n", got);

  // One in another.
  signal(SIGUSR1, note);
  signal(SIGUSR2, note);
  kill(getpid(), SIGUSR1);
  say("order");
  for (int i = 0; i < n; i++)
    say(" %d", order[i]);
  say("\n");

  // Ignored ones do nothing, those of children are told.
  signal(SIGUSR1, SIG_IGN);
  kill(getpid(), SIGUSR1);
  say("ignored\n");
  got = 0;
  signal(SIGCHLD, count);
  if ((pid = fork()) == 0)
    _exit(3);
  spin_until(&got);
  say("SIGCHLD %d\n", got == SIGCHLD);
  say("child %d\n", waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
  signal(SIGCHLD, SIG_DFL);

  // Handlers are inherited by fork; what is pending is not.
  signal(SIGUSR2, count);
  got = 0;
  if ((pid = fork()) == 0) {
    int before = got;
    kill(getpid(), SIGUSR2);
    _exit(before == 0 && got == SIGUSR2 ? 21 : 22);
  }
  waitpid(pid, &status, 0);
  say("inherited %d, own %d\n", WEXITSTATUS(status), got);

  // Ping and pong, a handshake of signals each.
  static volatile int pings;
  (void)pings;
  int there[2], back[2];
  if (pipe(there) || pipe(back))
    return 3;
  got = 0;
  if ((pid = fork()) == 0) {
    for (int i = 0; i < 200; i++) {
      got = 0;
      if (write(back[1], &c, 1) != 1)
        _exit(1);
      spin_until(&got);
    }
    _exit(33);
  }
  for (int i = 0; i < 200; i++) {
    if (read(back[0], &c, 1) != 1)
      return 4;
    kill(pid, SIGUSR2);
  }
  waitpid(pid, &status, 0);
  say("storm %d\n", WEXITSTATUS(status));

  // A timer's signals, while computing.
  signal(SIGALRM, count);
  got = 0;
  interval(SIGALRM, 5, 1);
  for (int left = 3 * SIGALRM; got < left;)
    ;
  interval(SIGALRM, 0, 0);
  say("ticks %d\n", got >= 3 * SIGALRM);
  return 0;
}
