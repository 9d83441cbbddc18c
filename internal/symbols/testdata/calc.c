// A program that ends in a division by zero, deep down. Built by make.sh.
typedef int (*op)(int, int);

static inline __attribute__((always_inline)) int ratio(int a, int b)
{
	return a / b;
}

__attribute__((noinline)) static int divide(int a, int b)
{
	int r = ratio(a, b);
	return r + 1;
}

__attribute__((noinline)) static int subtract(int a, int b) { return a - b; }

static op volatile ops[2] = {divide, subtract};

__attribute__((noinline)) static int descend(int n, int b)
{
	if (n == 0)
		return ops[0](100, b);
	return 1 +
	       descend(n - 1, b);
}

__attribute__((noinline)) static int fold(int n, int b)
{
	if (n == 0)
		return descend(3, b);
	int (*volatile self)(int, int) = fold;
	return self(n - 1, b) + 1;
}

__attribute__((export_name("run"))) int run(int depth, int b)
{
	return descend(depth, b);
}

__attribute__((export_name("indirect"))) int indirect(int depth, int b)
{
	return fold(depth, b);
}

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) void quit(int code);

void _start(void)
{
	quit(run(40, 0));
}
