// What wasix-libc's threads ask of WASIX, by what wasi-threads and the threads
// proposal have: its futexes are waits at addresses, a thread ends by an
// exception that start.s catches. There are no signals, and no timeouts: this
// libc writes a byte of them only (futex_wait's option has seven more).
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wasi/api.h>

#define WASIX(name) __imported_wasix_32v1_##name

_Noreturn void thread_leave(void); // start.s

int32_t WASIX(futex_wait)(int32_t futex, int32_t expected, int32_t timeout, int32_t woken) {
	const __wasi_option_timestamp_t *t = (void *)timeout;
	if (t && t->tag == __WASI_OPTION_SOME)
		__builtin_trap();
	__builtin_wasm_memory_atomic_wait32((int *)futex, expected, -1);
	*(uint8_t *)woken = true;
	return __WASI_ERRNO_SUCCESS;
}

static int32_t wake(int32_t futex, unsigned n, int32_t woken) {
	*(uint8_t *)woken = __builtin_wasm_memory_atomic_notify((int *)futex, n) != 0;
	return __WASI_ERRNO_SUCCESS;
}
int32_t WASIX(futex_wake)(int32_t futex, int32_t woken) { return wake(futex, 1, woken); }
int32_t WASIX(futex_wake_all)(int32_t futex, int32_t woken) { return wake(futex, ~0u, woken); }

void WASIX(thread_exit)(int32_t code) {
	(void)code;
	thread_leave();
}
_Noreturn void WASIX(proc_exit2)(int32_t code) { __wasi_proc_exit(code); }

void WASIX(callback_signal)(int32_t name, int32_t len) { (void)name, (void)len; }
int32_t WASIX(thread_signal)(int32_t tid, int32_t signal) {
	(void)tid, (void)signal;
	__builtin_trap(); // abort, or raise
}
int32_t WASIX(proc_signals_get)(int32_t buf) {
	(void)buf;
	return __WASI_ERRNO_SUCCESS;
}
int32_t WASIX(proc_signals_sizes_get)(int32_t count) {
	*(size_t *)count = 0;
	return __WASI_ERRNO_SUCCESS;
}
