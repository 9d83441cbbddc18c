// Many threads on one memory: a lock of futexes, atomics, a barrier, and signals
// from one to another by words in memory.
#include "posix.h"

enum { THREADS = 64, ROUNDS = 300 };

static _Atomic uint32_t lock_word; // 0 free, 1 taken, 2 taken and somebody may wait
static long guarded;
static _Atomic long added;
static _Atomic uint32_t arrived, round;
static long late;
static _Thread_local int own = 5;
static _Atomic long owns;

static void lock(void) {
  uint32_t c = 0;
  if (atomic_compare_exchange_strong(&lock_word, &c, 1))
    return;
  if (c != 2)
    c = atomic_exchange(&lock_word, 2);
  while (c != 0) {
    futex_wait(&lock_word, 2);
    c = atomic_exchange(&lock_word, 2);
  }
}

static void unlock(void) {
  if (atomic_exchange(&lock_word, 0) == 2)
    futex_wake(&lock_word, 1);
}

static void barrier(void) {
  uint32_t r = round;
  if (atomic_fetch_add(&arrived, 1) == THREADS - 1) {
    arrived = 0;
    round++;
    futex_wake(&round, 1 << 20);
    return;
  }
  while (round == r)
    futex_wait(&round, r);
}

static void work(int id) {
  for (int i = 0; i < ROUNDS; i++) {
    lock();
    guarded += id % 3 + 1;
    unlock();
    added += i;
    own += id;
    if (i % 32 == 0)
      sched_yield();
  }
  owns += own;
  for (uint32_t i = 0; i < 5; i++) {
    uint32_t before = round;
    barrier();
    if (round == before) {
      lock();
      late++;
      unlock();
    }
  }
}

static _Atomic uint32_t turn;
static char names[3 * 26 + 1];

static void in_turn(int id) {
  for (uint32_t i = 0; i < 3; i++) {
    uint32_t mine = i * 26 + (uint32_t)id;
    for (uint32_t t; (t = turn) != mine;)
      futex_wait(&turn, t);
    names[mine] = (char)('a' + id);
    turn = mine + 1;
    futex_wake(&turn, 1 << 20);
  }
}

int main(void) {
  int t[THREADS];
  for (int i = 0; i < THREADS; i++)
    if ((t[i] = task_start(work, i)) < 0)
      return 1;
  for (int i = 0; i < THREADS; i++)
    task_join(t[i]);
  say("guarded %ld added %ld owns %ld own %d late %ld round %u\n", guarded, added, owns, own, late, (unsigned)round);

  for (int i = 0; i < 26; i++)
    if ((t[i] = task_start(in_turn, i)) < 0)
      return 2;
  for (int i = 0; i < 26; i++)
    task_join(t[i]);
  say("%s\n", names);

  // Waits that need not be.
  _Atomic uint32_t word = 7;
  int r = futex_wait(&word, 8);
  say("not equal %d %d\n", r, errno == EAGAIN);
  say("nobody %d\n", futex_wake(&word, 1));

  // A process made by a thread's process has one thread, and memory of its own.
  guarded = 1;
  pid_t pid = fork();
  if (pid == 0) {
    guarded = 2;
    int k = task_start(in_turn, 0);
    turn = 0;
    futex_wake(&turn, 1);
    (void)k;
    _exit((int)guarded);
  }
  int status;
  waitpid(pid, &status, 0);
  say("child %d, here %ld\n", WEXITSTATUS(status), guarded);
  return 0;
}
