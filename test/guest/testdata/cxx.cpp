// Exceptions as clang makes them of C++: thrown through frames with destructors,
// caught, rethrown, thrown in handlers. The runtime is here, as little as is
// needed where every handler is catch (...): values go by thrown_value.
//
//	clang++-22 --target=wasm32-wasip1 -O1 -fwasm-exceptions -mllvm -wasm-use-legacy-eh=true -fno-rtti -c cxx.cpp
//	wasm-ld-22 --no-entry --strip-debug -o cxx-legacy.wasm cxx.o
//
// and with =false for cxx-exnref.wasm.

#define IMPORT(name) __attribute__((import_module("env"), import_name(name)))
extern "C" {
IMPORT("log") void log(int);
IMPORT("get") int get(int);
}

__asm__(".globl __cpp_exception\n"
	".tagtype __cpp_exception i32\n"
	"__cpp_exception:\n");

static int thrown_value;

extern "C" {
void *__cxa_begin_catch(void *p) { return p; }
void __cxa_end_catch() {}
[[noreturn]] void __cxa_rethrow() { __builtin_wasm_throw(0, &thrown_value); }
}
namespace std {
[[noreturn]] void terminate() noexcept { __builtin_trap(); }
}

[[noreturn]] __attribute__((noinline)) static void raise(int v) {
	thrown_value = v;
	__builtin_wasm_throw(0, &thrown_value);
}

static int order;
struct guard {
	int id;
	guard(int i) : id(i) {}
	~guard() {
		order = order * 31 + id;
		log(id);
	}
};

__attribute__((noinline)) static int descend(int n, int kind) {
	guard g(n);
	if (n == 0) {
		if (kind % 3 != 2)
			raise(kind);
		return kind;
	}
	return descend(n - 1, kind + get(n) % 2) + g.id;
}

__attribute__((noinline)) static int attempt(int n, int kind) {
	try {
		return descend(n, kind);
	} catch (...) {
		log(1000 + thrown_value);
		return -thrown_value;
	}
}

__attribute__((noinline)) static int nested(int n) {
	int sum = 0;
	try {
		try {
			guard g(100 + n);
			sum += descend(n, n);
		} catch (...) {
			guard g(200 + n);
			int first = thrown_value;
			for (int i = 0; i < 3; i++) {
				try {
					sum += descend(i, first + i);
				} catch (...) {
					sum += 10 * thrown_value;
				}
			}
			thrown_value = first;
			throw;
		}
	} catch (...) {
		log(2000 + thrown_value);
		sum += attempt(2, thrown_value);
	}
	return sum;
}

extern "C" __attribute__((export_name("run"))) int run() {
	int sum = 0;
	for (int i = 0; i < 5; i++)
		sum = sum * 7 + attempt(i, i) + nested(i);
	log(order);
	return sum;
}
