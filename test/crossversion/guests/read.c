// Blocked in a read of several buffers; shows what comes until the end.
#include "wasi.h"
void _start(void) {
	char a[4], b[60];
	print("ready\n");
	for (;;) {
		vec v[2] = {{a, sizeof a}, {b, sizeof b}};
		u32 got;
		MUST(fd_read(0, v, 2, &got));
		if (!got) break;
		tell("bytes", got);
		put(1, a, got < 4 ? got : 4);
		if (got > 4) put(1, b, got - 4);
	}
	proc_exit(7);
}
