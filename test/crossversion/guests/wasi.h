// What the guests need of preview 1, without a libc: a guest is a few hundred
// bytes and one or two pages of memory.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { const void *p; u32 n; } vec;

#define CALL(n) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#n))) u32 n
CALL(fd_read)(u32 fd, const vec *v, u32 n, u32 *got);
CALL(fd_pread)(u32 fd, const vec *v, u32 n, u64 off, u32 *got);
CALL(fd_write)(u32 fd, const vec *v, u32 n, u32 *got);
CALL(fd_close)(u32 fd);
CALL(fd_seek)(u32 fd, u64 off, u32 whence, u64 *at);
CALL(fd_tell)(u32 fd, u64 *at);
CALL(fd_readdir)(u32 fd, void *buf, u32 n, u64 cookie, u32 *used);
CALL(fd_fdstat_get)(u32 fd, void *st);
CALL(fd_filestat_get)(u32 fd, void *st);
CALL(fd_renumber)(u32 fd, u32 to);
CALL(path_open)(u32 fd, u32 follow, const char *p, u32 n, u32 oflags, u64 base, u64 inherit, u32 fdflags, u32 *out);
CALL(path_create_directory)(u32 fd, const char *p, u32 n);
CALL(path_unlink_file)(u32 fd, const char *p, u32 n);
CALL(path_symlink)(const char *to, u32 tn, u32 fd, const char *p, u32 n);
CALL(path_readlink)(u32 fd, const char *p, u32 n, char *buf, u32 max, u32 *got);
CALL(path_filestat_get)(u32 fd, u32 flags, const char *p, u32 n, void *st);
CALL(poll_oneoff)(const void *in, void *out, u32 n, u32 *got);
CALL(random_get)(void *p, u32 n);
CALL(clock_time_get)(u32 id, u64 precision, u64 *t);
CALL(args_sizes_get)(u32 *n, u32 *size);
CALL(args_get)(char **argv, char *buf);
CALL(environ_sizes_get)(u32 *n, u32 *size);
CALL(environ_get)(char **env, char *buf);
CALL(sock_accept)(u32 fd, u32 flags, u32 *out);
__attribute__((noreturn, import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) void proc_exit(u32 code);

static u32 length(const char *s) { u32 n = 0; while (s[n]) n++; return n; }
static void put(u32 fd, const void *p, u32 n) { vec v = {p, n}; u32 got; fd_write(fd, &v, 1, &got); }
static void print(const char *s) { put(1, s, length(s)); }
static void number(u64 x) {
	char b[20]; u32 i = 20;
	do b[--i] = '0' + x % 10; while (x /= 10);
	put(1, b + i, 20 - i);
}
static void hex(u64 x) {
	char b[16];
	for (int i = 16; i--; x >>= 4) b[i] = "0123456789abcdef"[x & 15];
	put(1, b, 16);
}
static void tell(const char *what, u64 x) { print(what); print(" "); number(x); print("\n"); }
static u32 get(u32 fd, void *p, u32 n) { vec v = {p, n}; u32 got = 0; u32 e = fd_read(fd, &v, 1, &got); if (e) tell("read:", e); return got; }

// check ends the guest where a call fails that must not.
static void check(int line, u32 errno) { if (errno) { tell("line", line); tell("errno", errno); proc_exit(1); } }
#define MUST(call) check(__LINE__, call)

// saved is where the guest is saved: it waits for a line.
static void saved(void) { char c = 0; print("ready\n"); while (c != '\n') if (!get(0, &c, 1)) break; }
