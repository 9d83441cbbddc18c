// Job control and signals by the calls of stasis_1: groups, sessions, stops that the
// parent sees, masks, queues, waiting for signals, terminals, locks.
#include "posix.h"
#include "stasis.h"

#define BIT(sig) (1ull << ((sig) - 1))
enum { RT = 34 };

static volatile int caught;
static void note(int sig) { caught = caught * 100 + sig; }

static struct stasis_siginfo waited(uint32_t which, int id, uint32_t options) {
  struct stasis_siginfo info;
  memset(&info, 0, sizeof info);
  int err;
  while ((err = child_wait(which, id, options, &info)) == 27) // EINTR: SIGCHLD
    ;
  if (err)
    say("child_wait %d\n", err);
  return info;
}

static void stops(void) {
  int ready[2];
  if (pipe(ready))
    return;
  pid_t pid = fork();
  if (pid == 0) {
    process_group_set(0, 0);
    write(ready[1], "r", 1);
    for (;;) // no call in it
      caught = caught ^ 1;
  }
  char c;
  read(ready[0], &c, 1);
  int32_t group, session, own;
  process_group_get(pid, &group);
  session_get(pid, &session);
  session_get(0, &own);
  say("group own %d session same %d\n", group == pid, session == own);
  kill(-pid, 19);
  struct stasis_siginfo i = waited(STASIS_P_PID, pid, STASIS_WSTOPPED);
  say("stopped %d %d\n", i.code, i.status);
  kill(-pid, 18);
  i = waited(STASIS_P_PGID, pid, STASIS_WCONTINUED);
  say("continued %d %d\n", i.code, i.status);
  kill(pid, 15);
  i = waited(STASIS_P_ALL, 0, STASIS_WEXITED);
  say("ended %d %d\n", i.code, i.status);
}

// catches has a signal caught, and says so to the kernel.
static void catches(int sig, uint32_t flags) {
  struct stasis_sigaction a = {STASIS_SIG_CATCH, flags, 0};
  signal(sig, note);
  signal_action(sig, &a, 0);
}

static void masks(void) {
  catches(10, 0);
  uint64_t set = BIT(10) | BIT(RT) | BIT(RT + 1), old, pending;
  signal_mask(STASIS_SIG_BLOCK, &set, &old);
  kill(getpid(), 10);
  kill(getpid(), 10);
  for (int n = 1; n <= 3; n++)
    signal_queue(getpid(), RT, (uint64_t)n << 40);
  signal_queue(getpid(), RT + 1, 7);
  signal_pending(&pending);
  say("old %d pending %d caught %d\n", (int)old, pending == set, caught);
  uint64_t real = BIT(RT) | BIT(RT + 1);
  for (int n = 0; n < 4; n++) {
    struct stasis_siginfo info;
    int err = signal_wait(&real, &info, ~0ull);
    say("took %d: %d code %d value %d from %d\n", err, info.signo, info.code, (int)(info.value >> (n < 3 ? 40 : 0)), info.pid == getpid());
  }
  say("none is %d\n", signal_wait(&real, 0, 1000000));
  uint64_t none = 0;
  int err = signal_suspend(&none); // takes what is pending
  say("suspend %d caught %d\n", err, caught);
  signal_mask(STASIS_SIG_SETMASK, &old, &pending);
  say("mask kept %d\n", pending == set);
}

static void restarts(void) {
  int fds[2];
  if (pipe(fds))
    return;
  caught = 0;
  catches(12, STASIS_SA_RESTART);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    kill(parent, 12);
    usleep(2000);
    write(fds[1], "x", 1);
    exit(0);
  }
  char c = 0;
  ssize_t n = read(fds[0], &c, 1);
  say("read %d %c caught %d\n", (int)n, c, caught);
  waited(STASIS_P_PID, pid, STASIS_WEXITED);
}

static void terminals(void) {
  int32_t master, slave, group;
  int err = terminal_open(&master, &slave);
  struct stasis_winsize size = {40, 100, 0, 0}, got;
  terminal_size_set(slave, &size);
  terminal_size_get(master, &got);
  say("pty %d size %d %d\n", err, got.rows, got.cols);
  int up[2];
  if (pipe(up))
    return;
  pid_t pid = fork();
  if (pid == 0) {
    int32_t session;
    session_set(&session);
    int controls = terminal_control(slave);
    terminal_group_get(slave, &group);
    say("session own %d controls %d foreground %d\n", session == getpid(), controls, group == getpid());
    // A background job that reads is stopped until it is in the foreground.
    pid_t job = fork();
    if (job == 0) {
      struct stasis_sigaction stop = {STASIS_SIG_DFL, 0, 0};
      signal_action(21, &stop, 0); // it stops, and is not the library's
      process_group_set(0, 0);
      write(up[1], "r", 1);
      char line[16];
      ssize_t n = read(slave, line, sizeof line - 1);
      line[n > 0 ? n : 0] = 0;
      say("job read %s", line);
      exit(0);
    }
    char c;
    read(up[0], &c, 1);
    struct stasis_siginfo i = waited(STASIS_P_PID, job, STASIS_WSTOPPED);
    say("job stopped by %d\n", i.status);
    terminal_group_set(slave, job);
    kill(-job, 18);
    write(master, "hello\n", 6);
    i = waited(STASIS_P_PID, job, STASIS_WEXITED);
    say("job ended %d %d\n", i.code, i.status);
    exit(0);
  }
  waited(STASIS_P_PID, pid, STASIS_WEXITED);
  // Keys send signals to the foreground.
  pid = fork();
  if (pid == 0) {
    int32_t session;
    session_set(&session);
    terminal_control(slave);
    write(up[1], "r", 1);
    for (;;)
      caught ^= 1;
  }
  char c;
  read(up[0], &c, 1);
  write(master, "\3", 1);
  struct stasis_siginfo i = waited(STASIS_P_PID, pid, STASIS_WEXITED);
  say("interrupted %d %d\n", i.code, i.status);
}

int main(void) {
  struct stasis_sigaction ignored = {STASIS_SIG_DFL, 0, 0};
  signal_action(17, &ignored, 0); // ends of children interrupt nothing
  stops();
  masks();
  restarts();
  terminals();
  struct stasis_limit limit;
  int err = limit_get(7, &limit);
  say("files %d %d\n", err, limit.soft >= 8);
  return 0;
}
