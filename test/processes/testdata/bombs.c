// Programs that make as much of something as they can, and one that answers:
//
//   bombs fork|pipe|fd|signal|zombie
//   bombs answer
//
// A bomb prints a line once it is refused what it wants more of, and goes on.
#include "posix.h"

static void full(const char *what) {
  static int said;
  if (!said++)
    say("full: %s\n", what);
}

static void fork_bomb(void) {
  for (;;)
    if (fork() < 0)
      full("fork");
}

// pipes opens pipes and fills them, as many as it can.
static void pipes(void) {
  static char stuff[1 << 16];
  int fds[2];
  while (pipe2(fds, O_NONBLOCK) == 0)
    while (write(fds[1], stuff, sizeof stuff) > 0)
      ;
  full("pipe");
}

static void descriptors(void) {
  while (dup(1) >= 0)
    ;
  full("dup");
}

// copies has what f makes made in copies of the process, too, again and again.
static void copies(void (*f)(void)) {
  for (;;) {
    f();
    if (fork() == 0) { // it has no room for more: it begins anew
      for (int fd = 3; fd < 2000; fd++)
        close(fd);
    }
  }
}

static volatile int got;
static void count(int sig) { got += sig > 0; }

// storm is processes that send one another signals as fast as they can.
static void storm(void) {
  static const int sigs[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGHUP};
  for (int i = 0; i < 4; i++)
    signal(sigs[i], count);
  for (int i = 0; i < 15; i++)
    if (fork() == 0)
      break;
  for (unsigned i = 0;; i++) {
    kill(0, sigs[i % 4]);
    if (got > 1000)
      full("signals");
  }
}

static void zombies(void) {
  for (;;) {
    pid_t pid = fork();
    if (pid == 0)
      _exit(0);
    if (pid < 0)
      full("fork");
  }
}

static void answer(void) {
  char c;
  while (read(0, &c, 1) == 1)
    write(1, &c, 1);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "fork") == 0)
    fork_bomb();
  if (strcmp(what, "pipe") == 0)
    copies(pipes);
  if (strcmp(what, "fd") == 0)
    copies(descriptors);
  if (strcmp(what, "signal") == 0)
    storm();
  if (strcmp(what, "zombie") == 0)
    zombies();
  if (strcmp(what, "answer") == 0)
    return answer(), 0;
  return 2;
}
