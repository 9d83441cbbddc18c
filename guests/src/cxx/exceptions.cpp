// What C++ programs do with exceptions: catch by type, hand on, keep, nest. The
// types are found by the toolchain's own runtime (libc++abi), which reads the
// tables that the compiler wrote.
#include "say.h"
#include <any>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <variant>
#include <vector>

#define NOINLINE __attribute__((noinline))

// A guard tells when it goes, so that the order of destructors is seen.
struct guard {
	const char *name;
	int id;
	guard(const char *n, int i) : name(n), id(i) {}
	guard(const guard &) = delete;
	~guard() { say("  ~", name, " ", id, " in flight ", std::uncaught_exceptions()); }
};

struct base {
	int v;
	explicit base(int x) : v(x) {}
	base(const base &) = default;
	virtual ~base() = default;
	virtual const char *name() const { return "base"; }
};
struct left : virtual base {
	explicit left(int x) : base(x) {}
	const char *name() const override { return "left"; }
};
struct right : virtual base {
	explicit right(int x) : base(x) {}
	const char *name() const override { return "right"; }
};
struct both : left, right {
	explicit both(int x) : base(x), left(x), right(x) {}
	const char *name() const override { return "both"; }
};
struct hidden : private base {
	explicit hidden(int x) : base(x) {}
};
struct failure : std::runtime_error {
	int code;
	failure(const std::string &what, int c) : std::runtime_error(what), code(c) {}
};

static both kept(77);

NOINLINE static void raise(int kind) {
	guard g("raise", kind);
	switch (kind) {
	case 0: throw 42;
	case 1: throw "a string";
	case 2: throw base(2);
	case 3: throw left(3);
	case 4: throw both(4);
	case 5: throw static_cast<left *>(&kept);
	case 6: throw &kept;
	case 7: throw nullptr;
	case 8: throw failure("it failed", 8);
	case 9: throw std::string("text");
	case 10: throw 2.5;
	case 11: throw hidden(11);
	case 12: throw 'c';
	case 13: throw static_cast<const void *>(&kept);
	case 14: throw &raise;
	case 15: throw std::system_error(std::make_error_code(std::errc::no_such_file_or_directory), "opening");
	}
}

NOINLINE static void by_type(int kind) {
	try {
		guard outer("outer", kind);
		try {
			guard inner("inner", kind);
			raise(kind);
			say("nothing thrown");
		} catch (right &r) {
			say("right& ", r.name(), " ", r.v);
			r.v += 100;
			throw;
		} catch (const left &l) {
			say("const left& ", l.name(), " ", l.v);
		} catch (int i) {
			say("int ", i);
		} catch (const char *s) {
			say("const char* ", s == nullptr ? "null" : s);
		} catch (base *b) {
			say("base* ", b == nullptr ? "null" : b->name());
		} catch (const failure &f) {
			say("failure ", f.what(), " ", f.code);
			throw;
		} catch (void (*f)(int)) {
			say("function ", f == raise ? "raise" : "another");
		} catch (const void *p) {
			say("const void* ", p == &kept ? "kept" : "another");
		}
	} catch (const std::exception &e) {
		say("exception ", e.what());
	} catch (base b) {
		say("base by value ", b.name(), " ", b.v);
	} catch (const std::string &s) {
		say("string ", s);
	} catch (double d) {
		say("double ", int(d * 10));
	} catch (...) {
		say("something else");
	}
}

long *many; // seen from outside, so that nothing is left out

// What the library throws by itself.
NOINLINE static void from_library(int kind) {
	try {
		std::vector<int> v(3);
		switch (kind) {
		case 0: say(v.at(v.size() + 2)); break;
		case 1: say(int(std::string("abc").substr(7).size())); break;
		case 2: say(std::stoi("seven")); break;
		case 3: {
			base b(1);
			base &r = b;
			say(dynamic_cast<both &>(r).v);
			break;
		}
		case 4: ::operator delete(::operator new(size_t(-1) - 4096)); break;
		case 5: {
			const base *none = nullptr;
			say(typeid(*none).name());
			break;
		}
		case 6: say(std::get<1>(std::variant<int, long>(5)) > 0 ? "yes" : "no"); break;
		case 7: say(std::any_cast<int>(std::any(1L))); break;
		case 8: say(std::optional<int>().value()); break;
		case 9: std::function<int(int)>()(3); break;
		case 10: std::shared_ptr<int>(std::weak_ptr<int>()); break;
		case 11: v.reserve(size_t(-1)); break;
		case 12: many = new long[size_t(-int(v.size()))]; break;
		}
	} catch (const std::logic_error &) {
		say("logic_error");
	} catch (const std::bad_alloc &) {
		say("bad_alloc");
	} catch (const std::bad_cast &) {
		say("bad_cast");
	} catch (const std::exception &) {
		say("another exception");
	}
}

// Constructors that do not end: what was made goes, in order.
struct part {
	guard g;
	part(int i) : g("part", i) {
		if (i % 10 == 3)
			throw failure("part", i);
	}
};
struct whole : part {
	part second;
	std::unique_ptr<part> third, fourth;
	explicit whole(int i)
	try : part(i), second(i + 1) {
		third = std::make_unique<part>(i + 2);
		fourth = std::make_unique<part>(i + 3);
		say("whole ", i);
	} catch (failure &f) {
		say("not whole: ", f.what(), " ", f.code);
		f.code = -f.code; // it is thrown again at the end
	}
	~whole() { say("~whole"); }
};

NOINLINE static int in_function_try(int i) try {
	whole w(i);
	part array[2] = {i + 20, i + 21};
	return int(sizeof array / sizeof *array);
} catch (const failure &f) {
	return f.code;
}

// Exceptions out of virtual functions, callbacks and lambdas.
struct step {
	virtual int run(int n) = 0;
	virtual ~step() = default;
};
struct count : step {
	int run(int n) override {
		guard g("count", n);
		if (n == 0)
			throw failure("counted out", 0);
		return run(n - 1) + 1;
	}
};
struct ask : step {
	std::function<int(int)> f;
	explicit ask(std::function<int(int)> g) : f(std::move(g)) {}
	int run(int n) override { return f(n) * 2; }
};

NOINLINE static void through_calls() {
	std::vector<std::unique_ptr<step>> steps;
	steps.push_back(std::make_unique<count>());
	steps.push_back(std::make_unique<ask>([&](int n) { return n > 2 ? steps[0]->run(n) : n; }));
	steps.push_back(std::make_unique<ask>([&](int n) {
		try {
			return steps[1]->run(n + 2);
		} catch (const failure &) {
			guard g("lambda", n);
			if (n == 2)
				throw std::out_of_range("lambda");
			return -n;
		}
	}));
	for (auto &s : steps) {
		for (int n = 1; n < 4; n++) {
			try {
				say("step ", s->run(n));
			} catch (const failure &f) {
				say("step failed: ", f.what());
			} catch (const std::logic_error &e) {
				say("step is wrong: ", e.what());
			}
		}
	}
}

// A destructor that throws and catches while another exception is in flight.
struct careful {
	int id;
	~careful() {
		try {
			guard g("careful", id);
			throw failure("in a destructor", id);
		} catch (const failure &f) {
			say("  inside: ", f.code, " in flight ", std::uncaught_exceptions());
		}
	}
};

NOINLINE static void in_handlers() {
	try {
		careful a{1};
		try {
			careful b{2};
			throw failure("first", 1);
		} catch (failure &f) {
			for (int i = 0; i < 3; i++) {
				try {
					guard g("handler", i);
					throw failure("second", i);
				} catch (const failure &s) {
					say("in a handler: ", f.what(), ", ", s.what(), " ", s.code);
					f.code = f.code * 10 + s.code;
				}
			}
			throw;
		}
	} catch (const failure &f) {
		say("at last: ", f.what(), " ", f.code);
	}
}

// Exceptions kept as values.
NOINLINE static std::exception_ptr keep(int i) {
	try {
		guard g("keep", i);
		throw failure("kept", i);
	} catch (...) {
		return std::current_exception();
	}
}

NOINLINE static void as_values() {
	std::vector<std::exception_ptr> all;
	for (int i = 0; i < 3; i++)
		all.push_back(keep(i));
	all.push_back(std::make_exception_ptr(std::range_error("made")));
	all.push_back(all[1]);
	all.push_back(nullptr);
	all.erase(all.begin());
	for (auto &p : all) {
		if (!p) {
			say("no exception");
			continue;
		}
		for (int again = 0; again < 2; again++) {
			try {
				std::rethrow_exception(p);
			} catch (failure &f) {
				say("again ", f.what(), " ", f.code);
				f.code += 10; // the same object, not a copy
			} catch (const std::exception &e) {
				say("again ", e.what());
			}
		}
	}
}

NOINLINE static void unfold(const std::exception &e, int depth) {
	say("level ", depth, ": ", e.what());
	try {
		std::rethrow_if_nested(e);
	} catch (const std::exception &inner) {
		unfold(inner, depth + 1);
	} catch (int i) {
		say("level ", depth + 1, ": int ", i);
	}
}

NOINLINE static void nest(int n) {
	try {
		if (n == 0)
			throw 7;
		nest(n - 1);
	} catch (...) {
		std::throw_with_nested(failure("nested " + std::to_string(n), n));
	}
}

NOINLINE static int deep(int n, int bottom) {
	guard *g = nullptr;
	if (n % 8 == 0)
		g = new guard("deep", n);
	std::unique_ptr<guard> owned(g);
	if (n == bottom)
		throw failure("deep", n);
	return deep(n + 1, bottom) + 1;
}

int main() {
	for (int kind = 0; kind <= 16; kind++)
		by_type(kind);
	for (int kind = 0; kind <= 12; kind++)
		from_library(kind);
	for (int i = 0; i < 5; i++)
		say("function try: ", in_function_try(i));
	through_calls();
	in_handlers();
	as_values();
	try {
		nest(4);
	} catch (const std::exception &e) {
		unfold(e, 0);
	}
	for (int bottom = 5; bottom < 50; bottom += 20) {
		try {
			say(deep(0, bottom));
		} catch (const failure &f) {
			say("deep ", f.code);
		}
	}
	say("in flight ", std::uncaught_exceptions(), ", current ", std::current_exception() ? "some" : "none");
	return 0;
}
