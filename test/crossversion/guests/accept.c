// Waits for a connection to a listening socket that it was given.
#include "wasi.h"
void _start(void) {
	u32 conn;
	char b[64];
	print("ready\n");
	MUST(sock_accept(4, 0, &conn));
	u32 n = get(conn, b, sizeof b);
	put(1, b, n);
	put(conn, "seen\n", 5);
	MUST(fd_close(conn));
}
