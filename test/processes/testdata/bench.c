// What processes cost: it prints a name, and nanoseconds or bytes a second. With an
// argument it is what is executed: it ends at once; with "only" and the name of a part
// it measures that alone, with "memory" and a number forks with so many MiB.
//
//   stasis run --dir test/processes/testdata:/t test/processes/testdata/bench.wasm
#include "posix.h"
#ifdef __wasm__
#include "wasi.h"
#define SELF "/t/bench.wasm"
static uint64_t now(void) {
  uint64_t ns;
  wasi_clock_time_get(1, 0, &ns);
  return ns;
}
#else
#include <time.h>
#define SELF "/proc/self/exe"
static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif

static volatile int told;

static void tell(int sig) {
  (void)sig;


  told++;
}

static void forks(void) {
  enum { N = 300 };
  uint64_t begin = now();
  for (int i = 0; i < N; i++) {
    int status;
    pid_t pid = fork();
    if (pid == 0)
      _exit(0);
    waitpid(pid, &status, 0);
  }
  say("fork+exit+wait %u ns\n", (unsigned)((now() - begin) / N));
}

static void execs(void) {
  enum { N = 300 };
  char *argv[] = {"bench", "end", 0}, *envp[] = {0};
  uint64_t begin = now();
  for (int i = 0; i < N; i++) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
      execve(SELF, argv, envp);
      _exit(9);
    }
    waitpid(pid, &status, 0);
    if (status) {
      say("exec failed %d\n", status);
      return;
    }
  }
  say("fork+exec+wait %u ns\n", (unsigned)((now() - begin) / N));
}

static char buf[1 << 16];

static void pipes(void) {
  int fds[2], status;
  if (pipe(fds))
    return;
  enum { N = 20000 };
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[0]);
    for (int i = 0; i < N; i++)
      write(fds[1], buf, sizeof buf);
    _exit(0);
  }
  close(fds[1]);
  uint64_t begin = now(), total = 0;
  for (ssize_t n; (n = read(fds[0], buf, sizeof buf)) > 0;)
    total += (uint64_t)n;
  say("pipe %u MB/s\n", (unsigned)(total * 1000 / (now() - begin)));
  waitpid(pid, &status, 0);
}

static void pingpong(void) {
  int there[2], back[2], status;
  if (pipe(there) || pipe(back))
    return;
  enum { N = 20000 };
  pid_t pid = fork();
  if (pid == 0) {
    char c;
    for (int i = 0; i < N && read(there[0], &c, 1) == 1; i++)
      write(back[1], &c, 1);
    _exit(0);
  }
  char c = 'x';
  uint64_t begin = now();
  for (int i = 0; i < N; i++) {
    write(there[1], &c, 1);
    read(back[0], &c, 1);
  }
  say("ping-pong %u ns\n", (unsigned)((now() - begin) / N));
  waitpid(pid, &status, 0);
}

// The handler of a process that computes tells how long ago the signal was sent: the
// time is passed through a pipe, so it is measured from before kill to the handler.
static void signals(void) {
  int fds[2], status;
  if (pipe(fds))
    return;
  enum { N = 1000 };
  pid_t parent = getpid(), pid = fork();
  (void)parent;
  if (pid == 0) {
    signal(SIGUSR1, tell);
    write(fds[1], "r", 1);
    unsigned x = 1;
    for (int i = 0; i < N; i++) {
      while (told <= i) // no call in it
        x = x * 1664525 + 1013904223;
      uint64_t t = now();
      write(fds[1], &t, sizeof t);
    }
    _exit(0);
  }
  char c;
  read(fds[0], &c, 1);
  static uint64_t took[N];
  for (int i = 0; i < N; i++) {
    usleep(200);
    uint64_t begin = now(), end;
    kill(pid, SIGUSR1);
    read(fds[0], &end, sizeof end);
    uint64_t d = end - begin;
    int at = i;
    for (; at > 0 && took[at - 1] > d; at--)
      took[at] = took[at - 1];
    took[at] = d;
  }
  waitpid(pid, &status, 0);
  say("kill to after the handler in a loop: median %u ns, p99 %u ns\n", (unsigned)took[N / 2], (unsigned)took[N * 99 / 100]);
}

// memory forks with so many MiB that were all written to.
static int memory(int mib) {
  enum { N = 20 };
  size_t n = (size_t)mib << 20;
  char *p = malloc(n);
  for (size_t i = 0; i < n; i += 512)
    p[i] = (char)(i >> 9 | 1);
  uint64_t begin = now();
  for (int i = 0; i < N; i++) {
    int status;
    pid_t pid = fork();
    if (pid == 0)
      _exit(p[n / 2] != (char)(n / 2 >> 9 | 1));
    if (waitpid(pid, &status, 0) != pid || status)
      return 1;
  }
  say("%u\n", (unsigned)((now() - begin) / N));
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "memory") == 0)
    return memory(atoi(argv[2]));
  if (argc > 2 && strcmp(argv[1], "only") == 0) {
    static const struct { const char *name; void (*f)(void); } parts[] = {{"forks", forks}, {"execs", execs}, {"pipes", pipes}, {"pingpong", pingpong}, {"signals", signals}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
      if (strcmp(argv[2], parts[i].name) == 0)
        parts[i].f();
    return 0;
  }
  if (argc > 1)
    return 0;
  forks();
  execs();
  pipes();
  pingpong();
  signals();
  return 0;
}
