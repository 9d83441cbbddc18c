// What fork, exec of a tiny program and wait cost a program that has a table of 10,000
// functions: it prints nanoseconds.
//
//   stasis run --dir test/processes/testdata:/t test/processes/testdata/table.wasm [TINY]
#include "posix.h"
#ifdef __wasm__
#include "wasi.h"
#define TINY "/t/bench.wasm"
static uint64_t now(void) {
  uint64_t ns;
  wasi_clock_time_get(1, 0, &ns);
  return ns;
}
#else
#include <time.h>
#define TINY "/proc/self/exe"
static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif

#define TEN(F, n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
#define HUNDRED(F, n) TEN(F, n##0) TEN(F, n##1) TEN(F, n##2) TEN(F, n##3) TEN(F, n##4) TEN(F, n##5) TEN(F, n##6) TEN(F, n##7) TEN(F, n##8) TEN(F, n##9)
#define THOUSAND(F, n) HUNDRED(F, n##0) HUNDRED(F, n##1) HUNDRED(F, n##2) HUNDRED(F, n##3) HUNDRED(F, n##4) HUNDRED(F, n##5) HUNDRED(F, n##6) HUNDRED(F, n##7) HUNDRED(F, n##8) HUNDRED(F, n##9)
#define ALL(F) THOUSAND(F, 1) THOUSAND(F, 2) THOUSAND(F, 3) THOUSAND(F, 4) THOUSAND(F, 5) THOUSAND(F, 6) THOUSAND(F, 7) THOUSAND(F, 8) THOUSAND(F, 9) THOUSAND(F, 10)

#define FUNCTION(n) static int f##n(void) { return n; }
ALL(FUNCTION)
#define ENTRY(n) f##n,
static int (*volatile const functions[])(void) = {ALL(ENTRY)};

int main(int argc, char **argv) {
  if (argc > 1 && *argv[1] != '/')
    return 0;
  const char *tiny = argc > 1 ? argv[1] : TINY;
  enum { N = 300, SIZE = sizeof functions / sizeof *functions };
  int sum = 0;
  for (int i = 0; i < SIZE; i++)
    sum += functions[i]();
  char *args[] = {"tiny", "end", 0}, *envp[] = {0};
  uint64_t begin = now();
  for (int i = 0; i < N; i++) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
      execve(tiny, args, envp);
      _exit(9);
    }
    waitpid(pid, &status, 0);
    if (status) {
      say("exec failed %d\n", status);
      return 1;
    }
  }
  say("fork+exec+wait beside a table of %d (%d) %u ns\n", (int)SIZE, sum, (unsigned)((now() - begin) / N));
  return 0;
}
