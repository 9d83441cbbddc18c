// As many threads as there may be, all of which compute; it prints a line once it is
// refused one, and goes on.
#include "posix.h"
#include "wasix.h"

enum { STACK = 1024 };

static _Atomic uint32_t gate;
static _Atomic unsigned long spins;

void thread_main(int tid, void *start) {
  (void)tid, (void)start;
  while (!gate)
    futex_wait(&gate, 0);
  for (;;) // no call in it
    spins++;
}

int main(void) {
  int said = 0;
  struct wasix_thread_start *t = NULL;
  for (;;) {
    if (!t) {
      size_t align = __builtin_wasm_tls_align() | 15;
      t = malloc(sizeof *t);
      t->tls_base = (void *)(((uintptr_t)malloc(__builtin_wasm_tls_size() + align + 1) + align) & ~(uintptr_t)align);
      t->stack = (char *)malloc(STACK) + STACK;
      t->stack_size = STACK;
    }
    int32_t tid;
    if (wasix_thread_spawn_v2(t, &tid) == 0)
      t = NULL;
    else if (!said++) {
      say("full: threads\n");
      gate = 1;
      futex_wake(&gate, 1 << 20);
    }
  }
}
