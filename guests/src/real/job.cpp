// Work for a C++ compiler: templates that instantiate each other, classes with
// virtual functions, lambdas, constexpr evaluation, and nothing included.
#ifndef SCALE
#define SCALE 1
#endif

template <int... N> struct list {};
template <int N, int... Rest> struct range : range<N - 1, N - 1, Rest...> {};
template <int... Rest> struct range<0, Rest...> { using type = list<Rest...>; };

constexpr unsigned collatz(unsigned long n) {
	unsigned steps = 0;
	for (; n != 1; steps++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return steps;
}

template <int N> constexpr unsigned longest() {
	unsigned best = 0;
	for (int i = 1; i < 40 + N; i++)
		if (collatz(i) > best)
			best = collatz(i);
	return best;
}

struct shape {
	virtual long area(long) const = 0;
	virtual ~shape() {}
};

template <int N> struct square : shape {
	long side = N;
	long area(long k) const override {
		auto times = [&](auto x) { return x * side * k; };
		long sum = 0;
		for (long i = 0; i < N % 13 + longest<N>() % 5; i++)
			sum += times(i) ^ times(N);
		return sum;
	}
};

template <int N> struct nested {
	nested<N - 1> inner;
	square<N> own;
	long total(long k) const { return own.area(k) + inner.total(k + N); }
};
template <> struct nested<0> {
	long total(long k) const { return k; }
};

template <int... N> long sum(list<N...>, long k) { return (square<N>().area(k) + ... + 0); }

long all(long k) {
	nested<40 * SCALE> n;
	return n.total(k) + sum(typename range<40 * SCALE>::type(), k);
}
