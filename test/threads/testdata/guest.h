// What the guests here share: threads without a libc. Each thread has a piece
// of the memory as its stack, which start.s gives it.
#pragma once
#include <stdint.h>
#include <stddef.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define WASI(name) IMPORT("wasi_snapshot_preview1", name)

IMPORT("wasi", "thread-spawn") int32_t thread_spawn(void *start);
WASI("proc_exit") _Noreturn void proc_exit(int32_t);
WASI("fd_write") int32_t fd_write(int32_t, const void *, int32_t, uint32_t *);
WASI("fd_read") int32_t fd_read(int32_t, const void *, int32_t, uint32_t *);
WASI("clock_time_get") int32_t clock_time_get(int32_t, int64_t, int64_t *);
WASI("poll_oneoff") int32_t poll_oneoff(const void *, void *, int32_t, uint32_t *);
WASI("sched_yield") int32_t sched_yield(void);
WASI("args_sizes_get") int32_t args_sizes_get(uint32_t *, uint32_t *);
WASI("args_get") int32_t args_get(char **, char *);

#ifndef MAX_THREADS
#define MAX_THREADS 600
#define STACK 4096
#endif

typedef struct {
  char *stack; // start.s reads it: the first field
  void (*run)(int id);
  int id;
  int32_t tid;
} start_t;

static start_t starts[MAX_THREADS];
static char stacks[MAX_THREADS][STACK] __attribute__((aligned(16)));
static _Atomic int finished;

static inline int wait32(_Atomic int *p, int expected, int64_t timeout) {
  return __builtin_wasm_memory_atomic_wait32((int *)p, expected, timeout);
}
static inline unsigned notify(_Atomic int *p, unsigned n) {
  return __builtin_wasm_memory_atomic_notify((int *)p, n);
}

// thread_main is called by wasi_thread_start on the thread's own stack.
void thread_main(int32_t tid, start_t *s) {
  s->tid = tid;
  s->run(s->id);
  finished++;
  notify(&finished, 1);
}

static int32_t spawn(int id, void (*run)(int id)) {
  start_t *s = &starts[id];
  s->stack = stacks[id] + STACK;
  s->run = run;
  s->id = id;
  return thread_spawn(s);
}

// join waits until n threads have finished.
static void join(int n) {
  for (int have; (have = finished) < n;)
    wait32(&finished, have, -1);
}

// A lock: 0 free, 1 taken, 2 taken and somebody may wait.
typedef _Atomic int lock_t;

static void lock(lock_t *l) {
  int c = 0;
  if (__c11_atomic_compare_exchange_strong(l, &c, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    return;
  if (c != 2)
    c = __c11_atomic_exchange(l, 2, __ATOMIC_SEQ_CST);
  while (c != 0) {
    wait32(l, 2, -1);
    c = __c11_atomic_exchange(l, 2, __ATOMIC_SEQ_CST);
  }
}

static void unlock(lock_t *l) {
  if (__c11_atomic_exchange(l, 0, __ATOMIC_SEQ_CST) == 2)
    notify(l, 1);
}

static int64_t now(void) {
  int64_t t;
  clock_time_get(1, 1, &t);
  return t;
}

static void put(const char *s, int n) {
  struct { const void *p; int n; } v = {s, n};
  uint32_t done;
  fd_write(1, &v, 1, &done);
}

static void print(const char *label, uint64_t n) {
  char b[64];
  int len = 0;
  while (label[len]) { b[len] = label[len]; len++; }
  char digits[20];
  int d = 0;
  do digits[d++] = '0' + n % 10; while (n /= 10);
  while (d) b[len++] = digits[--d];
  b[len++] = '\n';
  put(b, len);
}

// arg is argument n as a number, or otherwise.
static int arg(int n, int otherwise) {
  static char *ptrs[16];
  static char text[512];
  uint32_t count, bytes;
  args_sizes_get(&count, &bytes);
  if (n >= (int)count || count > 16 || bytes > sizeof text)
    return otherwise;
  args_get(ptrs, text);
  int v = 0;
  for (char *p = ptrs[n]; *p >= '0' && *p <= '9'; p++)
    v = v * 10 + (*p - '0');
  return v;
}
