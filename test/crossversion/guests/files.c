// Files of a root in memory: open, shared offsets, appended to, unlinked, a
// listing that has begun, a symbolic link, a directory without a name.
#include "wasi.h"
#define ALL 0x1fffffffull
static char buf[256];
static u32 open(const char *p, u32 oflags, u32 fdflags) {
	u32 fd;
	check(0, path_open(3, 1, p, length(p), oflags, oflags & 2 ? 0x3fffff & ~0x40ull : 0xe001ffull & ~0x20000, 0, fdflags, &fd));
	return fd;
}
static void show(const char *what, u32 fd) {
	u32 n = get(fd, buf, sizeof buf);
	print(what); print(": "); put(1, buf, n); print("\n");
}
static u64 list(u32 fd, u64 cookie, u32 max) {
	for (;;) {
		u32 used;
		MUST(fd_readdir(fd, buf, sizeof buf, cookie, &used));
		if (used < 24) return cookie;
		u32 n = *(u32 *)(buf + 16);
		if (used < 24 + n) return cookie;
		cookie = *(u64 *)buf;
		print("entry "); put(1, buf + 24, n); print("\n");
		if (!--max) return cookie;
	}
}
void _start(void) {
	MUST(path_create_directory(3, "dir", 3));
	MUST(path_create_directory(3, "dir/sub", 7));
	u32 a = open("dir/a", 1, 0);
	put(a, "the first file\n", 15);
	MUST(fd_seek(a, 4, 0, (u64 *)buf));
	u32 gone = open("gone", 1, 0);
	put(gone, "a file without a name", 21);
	MUST(path_unlink_file(3, "gone", 4));
	MUST(fd_seek(gone, 2, 0, (u64 *)buf));
	u32 log = open("dir/log", 1, 1);
	put(log, "one", 3);
	u32 hole = open("dir/hole", 1, 0);
	MUST(fd_seek(hole, 100000, 0, (u64 *)buf));
	put(hole, "end", 3);
	MUST(path_symlink("a", 1, 3, "dir/link", 8));
	u32 dir = open("dir", 2, 0);
	u64 cookie = list(dir, 0, 3);
	u32 other = open("other", 1, 0);
	MUST(fd_renumber(hole, other));
	saved();
	show("a", a);
	show("gone", gone);
	put(log, ",two", 4);
	MUST(fd_seek(log, 0, 0, (u64 *)buf));
	show("log", log);
	u64 at = 0;
	MUST(fd_tell(other, &at));
	tell("hole at", at);
	MUST(fd_seek(other, 99999, 0, &at));
	u32 n = get(other, buf, 8);
	tell("bytes", n);
	tell("zero", buf[0]);
	put(1, buf + 1, 3);
	print("\n");
	u32 len;
	MUST(path_readlink(3, "dir/link", 8, buf, sizeof buf, &len));
	print("link to "); put(1, buf, len); print("\n");
	show("link", open("dir/link", 0, 0));
	list(dir, cookie, 99);
	tell("gone:", path_filestat_get(3, 0, "gone", 4, buf));
	MUST(path_filestat_get(3, 0, "dir/hole", 8, buf));
	tell("size", *(u64 *)(buf + 32));
	tell("closed:", fd_close(hole));
	MUST(fd_close(other));
}
