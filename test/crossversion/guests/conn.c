// A connection that was open when it was saved, blocked in a read of it.
#include "wasi.h"
void _start(void) {
	u32 conn, got = 0;
	char b[64];
	vec v = {b, sizeof b};
	MUST(sock_accept(4, 0, &conn));
	get(conn, b, sizeof b);
	print("ready\n");
	tell("read:", fd_read(conn, &v, 1, &got));
	tell("bytes", got);
	tell("write:", fd_write(conn, &v, 1, &got));
	MUST(fd_close(conn));
	MUST(sock_accept(4, 0, &conn)); // the listening socket is there
	put(1, b, get(conn, b, sizeof b));
	MUST(fd_close(conn));
}
