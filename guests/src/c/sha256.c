// sha256: FIPS 180-4 over generated data, and over its own digests.
#include "guest.h"

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct sha {
	uint32_t h[8];
	uint64_t len;
	unsigned char buf[64];
};

static inline uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void block(struct sha *s, const unsigned char *p) {
	uint32_t w[64];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) + w[i - 7] + (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
	}
	uint32_t v[8];
	memcpy(v, s->h, sizeof v);
	for (int i = 0; i < 64; i++) {
		uint32_t e = v[4], a = v[0];
		uint32_t t1 = v[7] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + K[i] + w[i];
		uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
		v[7] = v[6];
		v[6] = v[5];
		v[5] = v[4];
		v[4] = v[3] + t1;
		v[3] = v[2];
		v[2] = v[1];
		v[1] = v[0];
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static void init(struct sha *s) {
	static const uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	memcpy(s->h, h, sizeof h);
	s->len = 0;
}

static void update(struct sha *s, const void *data, size_t n) {
	const unsigned char *p = data;
	size_t have = s->len % 64;
	s->len += n;
	while (n) {
		size_t k = 64 - have < n ? 64 - have : n;
		if (k == 64) {
			block(s, p);
		} else {
			memcpy(s->buf + have, p, k);
			if (have + k == 64)
				block(s, s->buf);
		}
		have = (have + k) % 64;
		p += k;
		n -= k;
	}
}

static void final(struct sha *s, unsigned char out[32]) {
	uint64_t bits = s->len * 8;
	update(s, "\x80", 1);
	while (s->len % 64 != 56)
		update(s, "", 1);
	unsigned char b[8];
	for (int i = 0; i < 8; i++)
		b[i] = (unsigned char)(bits >> (56 - 8 * i));
	update(s, b, 8);
	for (int i = 0; i < 32; i++)
		out[i] = (unsigned char)(s->h[i / 4] >> (24 - i % 4 * 8));
}

static void print(const char *what, long i, const unsigned char d[32]) {
	printf("%s %ld ", what, i);
	for (int k = 0; k < 32; k++)
		printf("%02x", d[k]);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 50);
	static unsigned char data[1 << 20];
	unsigned char d[32];
	struct sha s;
	init(&s);
	update(&s, "abc", 3);
	final(&s, d);
	print("sha256 abc", 0, d); // ba7816bf…
	for (long i = 1; i <= n; i++) {
		fill_text(data, sizeof data);
		init(&s);
		update(&s, d, sizeof d);
		for (int k = 0; k < 8; k++)
			update(&s, data, sizeof data - (size_t)(i + k) % 97);
		final(&s, d);
		digest_bytes(d, sizeof d);
		print("sha256", i, d);
	}
	return done("sha256");
}
