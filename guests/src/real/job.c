/* Work for compilers: SCALE times a hundred functions with loops, switches and
 * calls, and nothing included. */
#ifndef SCALE
#define SCALE 1
#endif

typedef unsigned long word;

#define FUNCTION(n)                                                        \
	static word f##n(word a, word b, word *v)                          \
	{                                                                  \
		word s = n, i, j;                                          \
		for (i = 0; i < 16; i++) {                                 \
			switch ((a + i) % 7) {                             \
			case 0: s += v[i] * b; break;                      \
			case 1: s ^= v[(i + n) & 15] >> (b & 7); break;    \
			case 2: for (j = i; j < 16; j++) s += v[j] % (j + 1); break; \
			case 3: v[i] = s / (a | 1); break;                 \
			case 4: s = (s << 3) | (s >> 5); break;            \
			case 5: if (s & 1) v[i & 7] += s; else v[i | 8] -= s; break; \
			default: s -= a * (n + 3);                         \
			}                                                  \
		}                                                          \
		return s + v[n & 15];                                      \
	}
#define TEN(M, n) M(n##0) M(n##1) M(n##2) M(n##3) M(n##4) M(n##5) M(n##6) M(n##7) M(n##8) M(n##9)
/* A macro does not expand inside of itself. */
#define TENS(M, n) M(n##0) M(n##1) M(n##2) M(n##3) M(n##4) M(n##5) M(n##6) M(n##7) M(n##8) M(n##9)
#define FUNCTIONS(n) TEN(FUNCTION, n)
#define HUNDRED(n) TENS(FUNCTIONS, n)

#define CALL(n) s += f##n(s, a, v);
#define CALLS(n) TEN(CALL, n)
#define CALL_HUNDRED(n)                          \
	word all##n(word a, word *v)             \
	{                                        \
		word s = a;                      \
		TENS(CALLS, n)                   \
		return s;                        \
	}
#define BLOCK(n) HUNDRED(n) CALL_HUNDRED(n)

BLOCK(1)
#if SCALE > 1
BLOCK(2)
#endif
#if SCALE > 2
BLOCK(3)
#endif
#if SCALE > 3
BLOCK(4) BLOCK(5) BLOCK(6)
#endif
#if SCALE > 6
BLOCK(7) BLOCK(8) BLOCK(9)
#endif
