// fib: nothing but calls. Fibonacci by the book, Takeuchi's function and
// Ackermann's, so that stacks are wide, busy and deep in turn.
#include "guest.h"

__attribute__((noinline)) static uint32_t fib(uint32_t n) {
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

__attribute__((noinline)) static int tak(int x, int y, int z) {
	return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

__attribute__((noinline)) static uint32_t ack(uint32_t m, uint32_t n) {
	if (m == 0)
		return n + 1;
	if (n == 0)
		return ack(m - 1, 1);
	return ack(m - 1, ack(m, n - 1));
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 40);
	for (long i = 1; i <= n; i++) {
		digest_u64(fib(27 + (uint32_t)(i % 8)));
		digest_u64((uint64_t)tak(18, 12, 6 + (int)(i % 3)));
		digest_u64(ack(2, 300 + (uint32_t)(i % 100)));
		progress("fib", i, n);
	}
	return done("fib");
}
