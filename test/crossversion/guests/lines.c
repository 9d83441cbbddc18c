// Shows each line that it reads, with its length.
#include "wasi.h"
void _start(void) {
	char b[200], first;
	print("ready\n");
	u64 sub[6] = {1, 0, 1, 200000000, 0, 0}, event[4];
	u32 got, n;
	MUST(poll_oneoff(sub, event, 1, &got));
	while ((n = get(0, b, sizeof b))) { tell("line of", n); put(1, b, n); }
}
