// gzip: zlib's deflate and inflate over generated text, at several levels.
#include <zlib.h>

#include "guest.h"

#define SIZE (512 << 10)

static unsigned char plain[SIZE], packed[SIZE + (SIZE >> 3) + 1024], back[SIZE];

static size_t pack(int level) {
	z_stream z = {0};
	// 15+16: a gzip header, whose time and system fields zlib leaves fixed.
	if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		exit(3);
	gz_header head = {.os = 255};
	deflateSetHeader(&z, &head);
	z.next_out = packed;
	z.avail_out = sizeof packed;
	for (size_t off = 0; off < SIZE; off += 32 << 10) {
		z.next_in = plain + off;
		z.avail_in = 32 << 10;
		if (deflate(&z, off + (32 << 10) == SIZE ? Z_FINISH : Z_NO_FLUSH) < 0)
			exit(3);
	}
	size_t n = z.total_out;
	deflateEnd(&z);
	return n;
}

static void unpack(size_t n) {
	z_stream z = {0};
	if (inflateInit2(&z, 15 + 32) != Z_OK)
		exit(3);
	z.next_in = packed;
	z.avail_in = (uInt)n;
	z.next_out = back;
	z.avail_out = SIZE;
	if (inflate(&z, Z_FINISH) != Z_STREAM_END || z.total_out != SIZE || memcmp(plain, back, SIZE) != 0) {
		printf("gzip: what came back is not what went in\n");
		exit(1);
	}
	inflateEnd(&z);
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 40);
	for (long i = 1; i <= n; i++) {
		fill_text(plain, SIZE);
		size_t k = pack(1 + (int)(i * 2 % 9));
		digest_bytes(packed, k);
		unpack(k);
		digest_u64(crc32(0, back, SIZE));
		progress("gzip", i, n);
	}
	return done("gzip");
}
