// Exceptions that nobody catches, three ways by ENDING: 1, std::terminate is
// called while one is handled, and the toolchain's own handler says which; 2,
// one leaves a noexcept function; 3, one leaves main. Whether destructors have
// run by then is up to the toolchain; on that way there are none.
#include "say.h"
#include <cstdlib>
#include <exception>
#include <stdexcept>

namespace deep {
template <typename T> struct failure : std::runtime_error {
	using std::runtime_error::runtime_error;
};
} // namespace deep

struct guard {
	int id;
	~guard() { say("  ~guard ", id); }
};

__attribute__((noinline)) static int fall(int n) {
	if (n == 0)
		throw deep::failure<int *>("nobody catches this");
	return fall(n - 1) + 1;
}

__attribute__((noinline)) static int last() noexcept {
	try {
		return fall(3);
	} catch (int) {
		say("not this one");
		return 0;
	}
}

[[noreturn]] static void ending() {
	say("terminate");
	std::abort();
}

int main() {
	try {
		guard g{1};
		say(fall(1));
	} catch (const std::exception &e) {
		say("caught ", e.what());
		if (ENDING == 1)
			std::terminate();
	}
	if (ENDING == 2) {
		std::set_terminate(ending);
		say(last());
	}
	say(fall(2));
}
