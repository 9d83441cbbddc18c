// What a parent gets to know of its children.
#include "posix.h"

static pid_t child(void (*f)(int), int v) {
  pid_t pid = fork();
  if (pid == 0) {
    f(v);
    _exit(0);
  }
  return pid;
}

static void leaves(int code) { _exit(code); }
static void spins(int unused) {
  (void)unused;
  for (volatile unsigned i = 0;; i++)
    ;
}
static void dies(int sig) {
  kill(getpid(), sig);
  spins(0);
}
static int gate[2];
static void waits(int code) {
  char c;
  close(gate[1]);
  if (read(gate[0], &c, 1) != 0)
    _exit(99);
  _exit(code);
}

static void tell(const char *what, pid_t got, pid_t want, int status) {
  say("%s: %d, ", what, got == want);
  if (WIFEXITED(status))
    say("exit %d\n", WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    say("signal %d\n", WTERMSIG(status));
  else if (WIFSTOPPED(status))
    say("stopped %d\n", WSTOPSIG(status));
}

int main(void) {
  int status = 0;
  say("none: %d", waitpid(-1, &status, 0));
  say(" %d\n", errno == ECHILD);

  const int codes[] = {0, 1, 42, 127, 255, 256 + 3};
  for (int i = 0; i < 6; i++) {
    pid_t pid = child(leaves, codes[i]);
    pid_t got = waitpid(pid, &status, 0);
    tell("exit", got, pid, status);
  }
  const int sigs[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGALRM};
  for (int i = 0; i < 6; i++) {
    pid_t pid = child(dies, sigs[i]);
    pid_t got = waitpid(pid, &status, 0);
    tell("killed by itself", got, pid, status);
  }
  for (int i = 0; i < 3; i++) {
    pid_t pid = child(spins, 0);
    kill(pid, sigs[i]);
    pid_t got = waitpid(pid, &status, 0);
    tell("killed", got, pid, status);
  }

  // Not ended yet, and ended.
  if (pipe(gate))
    return 1;
  pid_t pid = child(waits, 5);
  close(gate[0]);
  say("not yet: %d\n", waitpid(pid, &status, WNOHANG));
  say("none yet: %d\n", waitpid(-1, &status, WNOHANG));
  close(gate[1]);
  pid_t got;
  while ((got = waitpid(pid, &status, WNOHANG)) == 0)
    sched_yield();
  tell("at last", got, pid, status);
  say("not twice: %d", waitpid(pid, &status, 0));
  say(" %d\n", errno == ECHILD);
  say("not mine: %d", waitpid(getpid(), &status, 0));
  say(" %d\n", errno == ECHILD);

  // Any of several, each once.
  pid_t pids[8];
  int sum = 0, known = 0;
  for (int i = 0; i < 8; i++)
    pids[i] = child(leaves, 1 << i >> 1);
  for (int i = 0; i < 8; i++) {
    got = wait(&status);
    for (int k = 0; k < 8; k++)
      known += pids[k] == got;
    sum += WEXITSTATUS(status);
  }
  say("any: %d known, sum %d, then %d\n", known, sum, wait(&status));

  // Stopped and gone on.
  pid = child(spins, 0);
  kill(pid, SIGSTOP);
  got = waitpid(pid, &status, WUNTRACED);
  tell("stop", got, pid, status);
  say("told once: %d\n", waitpid(pid, &status, WUNTRACED | WNOHANG));
  kill(pid, SIGCONT);
  kill(pid, SIGTERM);
  got = waitpid(pid, &status, WUNTRACED);
  tell("gone on", got, pid, status);
  pid = child(spins, 0);
  kill(pid, SIGSTOP);
  waitpid(pid, &status, WUNTRACED);
  kill(pid, SIGKILL); // what stops it does not keep it
  got = waitpid(pid, &status, 0);
  tell("killed while stopped", got, pid, status);
  say("gone: %d", kill(pid, 0));
  say(" %d\n", errno == ESRCH);
  return 0;
}
