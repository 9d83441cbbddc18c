// The first line of the input has been read, the second one not.
#include "wasi.h"
void _start(void) {
	char b[100];
	u32 n = get(0, b, 4);
	put(1, b, n);
	// A clock in 200 ms, so that nothing is read while it is saved.
	u64 sub[6] = {1, 0, 1, 200000000, 0, 0}, event[4];
	u32 got;
	print("ready\n");
	MUST(poll_oneoff(sub, event, 1, &got));
	while ((n = get(0, b, sizeof b))) put(1, b, n);
}
