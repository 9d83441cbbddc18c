// a | b | c: numbers are made, the primes among them kept, and added up. The
// pipes fill; each process ends by the end of its input.
#include "posix.h"

static int run(void (*f)(void), int in, int out, int other) {
  pid_t pid = fork();
  if (pid)
    return pid;
  if (in >= 0) {
    dup2(in, 0);
    close(in);
  }
  if (out >= 0) {
    dup2(out, 1);
    close(out);
  }
  if (other >= 0)
    close(other);
  f();
  exit(0);
}

static void make(void) {
  for (int i = 2; i < 60000; i++)
    if (write(1, &i, sizeof i) != sizeof i)
      exit(1);
}

static int next(int *v) {
  int got = 0;
  while (got < (int)sizeof *v) {
    int n = (int)read(0, (char *)v + got, sizeof *v - (size_t)got);
    if (n < 0)
      exit(2);
    if (n == 0)
      return 0;
    got += n;
  }
  return 1;
}

static void primes(void) {
  for (int v; next(&v);) {
    int prime = 1;
    for (int d = 2; d * d <= v && prime; d++)
      prime = v % d != 0;
    if (prime && write(1, &v, sizeof v) != sizeof v)
      exit(3);
  }
}

static void add(void) {
  int n = 0, last = 0;
  unsigned sum = 0;
  for (int v; next(&v); last = v) {
    n++;
    sum = sum * 31 + (unsigned)v;
  }
  say("%d primes, the last %d, sum %u\n", n, last, sum);
}

int main(void) {
  int ab[2], bc[2], status;
  if (pipe(ab) || pipe(bc))
    return 1;
  pid_t a = run(make, -1, ab[1], ab[0]);
  close(ab[1]);
  pid_t b = run(primes, ab[0], bc[1], bc[0]);
  close(ab[0]);
  close(bc[1]);
  pid_t c = run(add, bc[0], -1, -1);
  close(bc[0]);
  const pid_t pids[] = {c, a, b};
  for (int i = 0; i < 3; i++) {
    if (waitpid(pids[i], &status, 0) != pids[i])
      return 2;
    say("%c: %x\n", "cab"[i], status);
  }

  // The first process of a pipeline whose end is gone dies of SIGPIPE.
  int cut[2];
  if (pipe(cut))
    return 3;
  a = run(make, -1, cut[1], cut[0]);
  close(cut[1]);
  char some[100];
  say("read %d\n", read(cut[0], some, sizeof some) > 0);
  close(cut[0]);
  waitpid(a, &status, 0);
  say("signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  return 0;
}
