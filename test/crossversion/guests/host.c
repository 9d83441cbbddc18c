// A file of a directory of the host, open and half read.
#include "wasi.h"
void _start(void) {
	u32 fd;
	char b[64];
	MUST(path_open(4, 0, "data.txt", 8, 0, 2 | 4 | 32, 0, 0, &fd));
	put(1, b, get(fd, b, 6));
	saved();
	put(1, b, get(fd, b, sizeof b));
}
