// Threads as POSIX and C11 have them, out of a toolchain's own libc. What is
// printed does not depend on who runs when.
//
//	pthreads THREADS ROUNDS
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 64 };

static int threads = 4, rounds = 100;

static void check(const char *what, int err) {
	if (err) {
		printf("%s: %s\n", what, strerror(err));
		exit(1);
	}
}

// with_stack gives a thread a stack that is never given back: this libc wakes who
// joins a thread before the thread has left its stack, and frees that.
static void with_stack(pthread_attr_t *attr) {
	enum { SIZE = 65536 };
	void *stack = aligned_alloc(16, SIZE);
	check("pthread_attr_init", pthread_attr_init(attr));
	check("pthread_attr_setstack", pthread_attr_setstack(attr, stack, SIZE));
}

// together runs f in all threads and adds up what they return.
static long together(void *(*f)(void *)) {
	pthread_t t[MAX_THREADS];
	for (long i = 0; i < threads; i++) {
		pthread_attr_t attr;
		with_stack(&attr);
		check("pthread_create", pthread_create(&t[i], &attr, f, (void *)i));
	}
	long sum = 0;
	for (int i = 0; i < threads; i++) {
		void *r;
		check("pthread_join", pthread_join(t[i], &r));
		sum += (long)r;
	}
	return sum;
}

// Mutexes: plain, recursive, and tried.
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, recursive;
static long guarded, deep;

static void locked_deep(int n) {
	pthread_mutex_lock(&recursive);
	deep++;
	if (n > 0)
		locked_deep(n - 1);
	pthread_mutex_unlock(&recursive);
}

static void *mutexes(void *id) {
	for (int i = 0; i < rounds; i++) {
		pthread_mutex_lock(&plain);
		guarded++;
		pthread_mutex_unlock(&plain);
		if (i % 8 == 0)
			locked_deep(3);
		if (i % 16 == 0 && pthread_mutex_trylock(&plain) == 0) {
			guarded += 0;
			pthread_mutex_unlock(&plain);
		}
	}
	return id;
}

// A queue of bounded length: half of the threads put, half of them take.
static struct {
	pthread_mutex_t mu;
	pthread_cond_t space, items;
	int n, head, slots[4], producers;
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, {0}, 0};

static long put(void) {
	for (int i = 1; i <= rounds; i++) {
		pthread_mutex_lock(&queue.mu);
		while (queue.n == 4)
			pthread_cond_wait(&queue.space, &queue.mu);
		queue.slots[(queue.head + queue.n++) % 4] = i;
		pthread_cond_signal(&queue.items);
		pthread_mutex_unlock(&queue.mu);
	}
	pthread_mutex_lock(&queue.mu);
	queue.producers--;
	pthread_cond_broadcast(&queue.items);
	pthread_mutex_unlock(&queue.mu);
	return 0;
}

static long take(void) {
	long sum = 0;
	for (;;) {
		pthread_mutex_lock(&queue.mu);
		while (queue.n == 0 && queue.producers > 0)
			pthread_cond_wait(&queue.items, &queue.mu);
		if (queue.n == 0) {
			pthread_mutex_unlock(&queue.mu);
			return sum;
		}
		sum += queue.slots[queue.head];
		queue.head = (queue.head + 1) % 4;
		queue.n--;
		pthread_cond_signal(&queue.space);
		pthread_mutex_unlock(&queue.mu);
	}
}

static void *queued(void *id) { return (void *)((long)id % 2 ? take() : put()); }

// A barrier: nobody is a step ahead.
static pthread_barrier_t barrier;
static _Atomic int steps[64];
static _Atomic long serial, ahead;

static void *in_step(void *id) {
	(void)id;
	for (int i = 0; i < 64; i++) {
		steps[i]++;
		int r = pthread_barrier_wait(&barrier);
		if (r == PTHREAD_BARRIER_SERIAL_THREAD)
			serial++;
		else
			check("pthread_barrier_wait", r);
		if (steps[i] != threads || (i < 63 && steps[i + 1] > threads))
			ahead++;
	}
	return NULL;
}

// A lock for many readers or one writer.
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];

static void *readers(void *id) {
	long torn = 0;
	for (int i = 0; i < rounds; i++) {
		if ((i + (long)id) % 5 == 0) {
			pthread_rwlock_wrlock(&rw);
			pair[0]++;
			if (i % 3 == 0)
				sched_yield();
			pair[1]++;
		} else {
			pthread_rwlock_rdlock(&rw);
			torn += pair[0] != pair[1];
		}
		pthread_rwlock_unlock(&rw);
	}
	return (void *)torn;
}

// What each thread has for itself: variables and keys with destructors.
static _Thread_local int local = 7;
static _Thread_local char block[256];
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int destroyed, onces;

static void destroy(void *p) {
	destroyed += *(int *)p;
	free(p);
}

static void make_key(void) {
	onces++;
	check("pthread_key_create", pthread_key_create(&key, destroy));
}

static void *own(void *id) {
	pthread_once(&once, make_key);
	int *p = malloc(sizeof *p);
	*p = 1;
	pthread_setspecific(key, p);
	for (int i = 0; i < rounds; i++) {
		local += (int)(long)id;
		block[i % 256]++;
		if (i % 32 == 0)
			sched_yield();
	}
	long sum = 0;
	for (int i = 0; i < 256; i++)
		sum += block[i];
	return (void *)(sum + local + (pthread_getspecific(key) == p));
}

// Atomics of C11.
static _Atomic long added;
static _Atomic unsigned char bytes;
static atomic_flag spin = ATOMIC_FLAG_INIT;
static long spun;

static void *atomics(void *id) {
	for (int i = 0; i < rounds; i++) {
		atomic_fetch_add(&added, i);
		bytes++;
		long was = atomic_load(&added);
		while (!atomic_compare_exchange_weak(&added, &was, was + 1))
			;
		if (i % 16 == 0) {
			while (atomic_flag_test_and_set_explicit(&spin, memory_order_acquire))
				sched_yield();
			spun++;
			atomic_flag_clear_explicit(&spin, memory_order_release);
		}
	}
	return id;
}

// Semaphores pass a turn around.
static sem_t turns[MAX_THREADS];
static char order[MAX_THREADS * 3 + 1];
static int placed;

static void *in_turn(void *id) {
	for (int i = 0; i < 3; i++) {
		sem_wait(&turns[(long)id]);
		order[placed++] = (char)('a' + (long)id % 26);
		sem_post(&turns[((long)id + 1) % threads]);
	}
	return NULL;
}

// pthread_exit out of a depth, with handlers on the way.
static _Atomic long cleaned;

static void clean(void *p) { cleaned += (long)p; }

static void descend(long n) {
	pthread_cleanup_push(clean, (void *)n);
	if (n == 1)
		pthread_exit((void *)100);
	descend(n - 1);
	pthread_cleanup_pop(0);
}

static void *exits(void *id) {
	descend(1 + (long)id % 4);
	return NULL;
}

// A detached thread that tells when it is through.
static pthread_mutex_t told_mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static int tells;

static void *detached(void *unused) {
	pthread_mutex_lock(&told_mu);
	tells = 1;
	pthread_cond_signal(&told);
	pthread_mutex_unlock(&told_mu);
	return unused;
}

static void odds(void) {
	pthread_t t;
	pthread_attr_t attr;
	with_stack(&attr);
	check("pthread_attr_setdetachstate", pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
	check("pthread_create", pthread_create(&t, &attr, detached, NULL));
	pthread_mutex_lock(&told_mu);
	while (!tells)
		pthread_cond_wait(&told, &told_mu);
	pthread_mutex_unlock(&told_mu);
	printf("detached %d\n", tells);

	printf("same thread %d\n", pthread_equal(pthread_self(), pthread_self()) != 0);
}

int main(int argc, char **argv) {
	if (argc > 1)
		threads = atoi(argv[1]);
	if (argc > 2)
		rounds = atoi(argv[2]);
	if (threads < 2 || threads > MAX_THREADS || threads % 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 256);

	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	check("pthread_mutex_init", pthread_mutex_init(&recursive, &attr));
	long ids = together(mutexes);
	printf("mutexes %ld %ld %ld\n", ids, guarded, deep);

	queue.producers = (threads + 1) / 2;
	printf("queue %ld\n", together(queued));

	check("pthread_barrier_init", pthread_barrier_init(&barrier, NULL, (unsigned)threads));
	together(in_step);
	printf("barrier %ld %ld\n", (long)serial, (long)ahead);

	long torn = together(readers);
	printf("readers %ld %ld %ld\n", torn, pair[0], pair[1]);

	long sum = together(own);
	printf("own %ld %d %d %d\n", sum, local, onces, destroyed);

	together(atomics);
	printf("atomics %ld %d %ld\n", (long)added, bytes, spun);

	for (int i = 0; i < threads; i++)
		sem_init(&turns[i], 0, i == 0);
	together(in_turn);
	printf("turns %s\n", order);

	sum = together(exits);
	printf("exits %ld %ld\n", sum, (long)cleaned);
	odds();
	return 0;
}
