// Arguments and environment, looked at after the wake.
#include "wasi.h"
static char *list[16], buf[512];
void _start(void) {
	u32 n, size;
	saved();
	MUST(args_sizes_get(&n, &size));
	MUST(args_get(list, buf));
	for (u32 i = 0; i < n; i++) { print(list[i]); print("\n"); }
	MUST(environ_sizes_get(&n, &size));
	MUST(environ_get(list, buf));
	for (u32 i = 0; i < n; i++) { print(list[i]); print("\n"); }
}
