// Seeded random bytes and a wall clock of its own.
#include "wasi.h"
static void random(void) { u64 r; MUST(random_get(&r, 8)); hex(r); print("\n"); }
void _start(void) {
	u64 mono, wall, mono2, wall2;
	char odd[3];
	MUST(random_get(odd, 3));
	random();
	MUST(clock_time_get(0, 1, &wall));
	MUST(clock_time_get(1, 1, &mono));
	saved();
	random();
	random();
	MUST(clock_time_get(0, 1, &wall2));
	MUST(clock_time_get(1, 1, &mono2));
	tell("hour", wall2 / 1000000000 / 3600);
	print(wall2 >= wall && mono2 >= mono && mono2 - mono < 60000000000ull ? "forwards\n" : "backwards\n");
}
