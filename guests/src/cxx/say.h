// How these programs print: lines put together on the stack and written at
// once, so that what runs at the safepoints is exceptions and not a printf.
#pragma once
#include <cstring>
#include <string>
#include <unistd.h>

inline void put(std::string &line, const char *s) { line += s; }
inline void put(std::string &line, const std::string &s) { line += s; }
inline void put(std::string &line, long v) {
	char digits[24];
	int n = 0;
	bool negative = v < 0;
	do
		digits[n++] = '0' + (negative ? -(v % 10) : v % 10);
	while (v /= 10);
	if (negative)
		line += '-';
	while (n)
		line += digits[--n];
}
inline void put(std::string &line, int v) { put(line, long(v)); }

template <typename... Parts> void say(const Parts &...parts) {
	std::string line;
	(put(line, parts), ...);
	line += '\n';
	for (size_t done = 0; done < line.size();) {
		ssize_t n = write(1, line.data() + done, line.size() - done);
		if (n <= 0)
			_exit(9);
		done += n;
	}
}
