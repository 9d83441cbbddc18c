// matmul: products of square matrices of doubles, row by column.
#include "guest.h"

#define N 192

static double a[N][N], b[N][N], c[N][N];

static void multiply(void) {
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			double s = 0;
			for (int k = 0; k < N; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s;
		}
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 20);
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = (double)(rng() % 2001) / 1000 - 1;
			b[i][j] = (double)(rng() % 2001) / 1000 - 1;
		}
	for (long i = 1; i <= n; i++) {
		for (int k = 0; k < 10; k++) {
			multiply();
			// Keep the entries near one and go on from the product.
			for (int y = 0; y < N; y++)
				for (int x = 0; x < N; x++)
					a[y][x] = c[y][x] / (1 + (c[y][x] < 0 ? -c[y][x] : c[y][x]));
		}
		for (int y = 0; y < N; y += 17)
			for (int x = 0; x < N; x += 13)
				digest_f64(a[y][x]);
		progress("matmul", i, n);
	}
	return done("matmul");
}
