// What the C guests share: a scale from the command line, a running digest,
// and progress lines that are flushed, so that a checkpoint can fall between
// any two of them.
#ifndef GUEST_H
#define GUEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// scale_arg is the work to do: argv[1], or def.
static inline long scale_arg(int argc, char **argv, long def) {
	if (argc < 2)
		return def;
	char *end;
	long n = strtol(argv[1], &end, 10);
	if (*end || n < 1) {
		fprintf(stderr, "%s: scale %s: not a positive number\n", argv[0], argv[1]);
		exit(2);
	}
	return n;
}

// FNV-1a, 64 bits.
static uint64_t digest = 0xcbf29ce484222325u;

static inline void digest_bytes(const void *p, size_t n) {
	const unsigned char *b = p;
	for (size_t i = 0; i < n; i++)
		digest = (digest ^ b[i]) * 0x100000001b3u;
}

static inline void digest_u64(uint64_t v) {
	unsigned char b[8];
	for (int i = 0; i < 8; i++)
		b[i] = (unsigned char)(v >> (8 * i));
	digest_bytes(b, 8);
}

static inline void digest_f64(double d) {
	uint64_t v;
	memcpy(&v, &d, 8);
	digest_u64(v);
}

static inline void progress(const char *what, long i, long n) {
	printf("%s %ld/%ld %016llx\n", what, i, n, (unsigned long long)digest);
	fflush(stdout);
}

static inline int done(const char *what) {
	printf("%s digest %016llx\n", what, (unsigned long long)digest);
	fflush(stdout);
	return 0;
}

// A small generator, the same everywhere.
static uint64_t rng_state = 0x9e3779b97f4a7c15u;

static inline uint64_t rng(void) {
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

// fill_text fills buf with text of the kind that compresses: words of a small
// vocabulary, numbers and line ends.
static inline void fill_text(unsigned char *buf, size_t n) {
	static const char *const words[] = {
		"the ", "kernel ", "stops ", "a ", "task ", "at ", "its ", "next ", "safepoint ",
		"and ", "unwinds ", "every ", "frame ", "into ", "record ", "which ", "travels ",
		"memory ", "page ", "image ", "restore ", "of ", "sandbox ", "module ", "\n",
	};
	size_t i = 0;
	while (i < n) {
		char num[24];
		uint64_t r = rng();
		const char *w = words[(r >> 8) % (sizeof words / sizeof *words)];
		if ((r & 15) == 0) {
			snprintf(num, sizeof num, "%u ", (unsigned)(r >> 40));
			w = num;
		}
		while (*w && i < n)
			buf[i++] = (unsigned char)*w++;
	}
}

#endif
