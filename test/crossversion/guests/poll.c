// Asleep until a time that lies in the saved system's future, with input that
// does not come.
#include "wasi.h"
static u64 sub[12] = {77, 0, 1, 300000000, 0, 0, 88, 1}, event[8];
void _start(void) {
	u64 before, after;
	u32 got;
	MUST(clock_time_get(1, 1, &before));
	print("ready\n");
	MUST(poll_oneoff(sub, event, 2, &got));
	MUST(clock_time_get(1, 1, &after));
	tell("events", got);
	tell("of", event[0]);
	print(after - before >= 300000000 ? "slept\n" : "woken early\n");
}
