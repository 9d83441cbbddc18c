// A process is forked while exceptions are under way: in handlers, and below
// destructors that run for one. Parent and child both go on with what was thrown.
#ifdef __wasm__
extern "C" {
typedef int pid_t;
typedef long ssize_t;
typedef unsigned long size_t;
pid_t fork();
pid_t waitpid(pid_t, int *, int);
ssize_t write(int, const void *, size_t);
[[noreturn]] void _exit(int);

// The runtime, as little as is needed where every handler is catch (...): what is
// thrown is kept in a stack of its own, since handlers nest.
void *__cxa_begin_catch(void *p) { return p; }
void __cxa_end_catch() {}
}
__asm__(".globl __cpp_exception\n"
	".tagtype __cpp_exception i32\n"
	"__cpp_exception:\n");
static int thrown;
extern "C" [[noreturn]] void __cxa_rethrow() { __builtin_wasm_throw(0, &thrown); }
namespace std {
[[noreturn]] void terminate() noexcept { __builtin_trap(); }
}
[[noreturn]] static void toss(int v) {
	thrown = v;
	__builtin_wasm_throw(0, &thrown);
}
#define WEXITSTATUS(s) ((s) >> 8 & 0xff)
#else
#include <sys/wait.h>
#include <unistd.h>
static int thrown;
[[noreturn]] static void toss(int v) {
	thrown = v;
	throw v;
}
#endif

static void tell(const char *what, int v) {
	char b[64];
	int n = 0, d = 0;
	char digits[12];
	while (what[n])
		b[n] = what[n], n++;
	b[n++] = ' ';
	unsigned u = v < 0 ? (b[n++] = '-', -v) : v;
	do
		digits[d++] = '0' + u % 10;
	while (u /= 10);
	while (d)
		b[n++] = digits[--d];
	b[n++] = '\n';
	if (write(1, b, n) != n)
		_exit(99);
}

static bool in_child;

// here forks; the child's part is told before the parent's.
static int here(int code) {
	pid_t pid = fork();
	if (pid < 0)
		_exit(98);
	if (pid == 0) {
		in_child = true;
		return 0;
	}
	int status;
	if (waitpid(pid, &status, 0) != pid)
		_exit(97);
	tell("child left with", WEXITSTATUS(status));
	return code;
}

struct forks {
	int code;
	~forks() {
		if (!in_child)
			tell("destructor", here(code));
		else
			tell("destructor of the child", code);
	}
};

__attribute__((noinline)) static int deep(int n) {
	if (n == 0)
		toss(7);
	return deep(n - 1) + 1;
}

__attribute__((noinline)) static int in_handler() {
	try {
		return deep(3);
	} catch (...) {
		int mine = here(1);
		tell(mine ? "parent goes on" : "child goes on", thrown);
		try {
			toss(thrown + 10);
		} catch (...) {
			tell(mine ? "parent inner" : "child inner", thrown);
		}
		thrown = 7 + mine;
		throw;
	}
}

#ifdef __wasm__
extern "C"
#endif
int main(int, char **) {
	try {
		in_handler();
	} catch (...) {
		tell(in_child ? "child caught" : "parent caught", thrown);
		if (in_child)
			_exit(41);
	}
	try {
		forks f{5};
		deep(2);
	} catch (...) {
		tell(in_child ? "child caught" : "parent caught", thrown);
		if (in_child)
			_exit(42);
	}
	// A child that throws where its parent returns.
	int v = 0;
	try {
		v = here(3);
		if (v == 0)
			toss(50);
	} catch (...) {
		tell("thrown in the child", thrown);
		_exit(43);
	}
	tell("returned in the parent", v);
	return 0;
}
