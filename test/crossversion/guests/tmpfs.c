// A root that is read only, and a file system in memory with a quota of 64 KiB.
#include "wasi.h"
static char page[4096];
static u32 out;
static u32 fill(u32 n) {
	vec v = {page, sizeof page};
	u32 got, e = 0;
	while (n-- && !(e = fd_write(out, &v, 1, &got)));
	return e;
}
void _start(void) {
	u32 fd;
	for (u32 i = 0; i < sizeof page; i++) page[i] = 'a' + i % 26;
	tell("root:", path_open(3, 0, "x", 1, 1, 64, 0, 0, &fd));
	MUST(path_open(4, 0, "x", 1, 1, 64 | 2 | 4 | 32, 0, 0, &out));
	MUST(fill(3));
	saved();
	tell("root:", path_open(3, 0, "x", 1, 1, 64, 0, 0, &fd));
	tell("full:", fill(100));
	u64 at;
	MUST(fd_tell(out, &at));
	tell("at", at);
	MUST(fd_seek(out, 4096 * 3 - 4, 0, &at));
	u32 n = get(out, page, 8);
	put(1, page, n);
	print("\n");
}
