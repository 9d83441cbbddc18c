// bzip2: libbzip2, there and back, over generated text.
#include <bzlib.h>

#include "guest.h"

#define SIZE (300 << 10)

static char plain[SIZE], packed[SIZE + SIZE / 100 + 600], back[SIZE];

void bz_internal_error(int code) {
	printf("bzip2: internal error %d\n", code);
	exit(1);
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 20);
	for (long i = 1; i <= n; i++) {
		fill_text((unsigned char *)plain, SIZE);
		unsigned k = sizeof packed, m = SIZE;
		if (BZ2_bzBuffToBuffCompress(packed, &k, plain, SIZE, 1 + (int)(i % 9), 0, 30) != BZ_OK)
			exit(3);
		digest_bytes(packed, k);
		if (BZ2_bzBuffToBuffDecompress(back, &m, packed, k, 0, 0) != BZ_OK || m != SIZE || memcmp(plain, back, SIZE)) {
			printf("bzip2: what came back is not what went in\n");
			return 1;
		}
		progress("bzip2", i, n);
	}
	return done("bzip2");
}
