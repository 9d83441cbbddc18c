// The calls that make a child which runs a program, each. The program that they run is
// this one, /job/spawn, and tells what it was begun with.
#include "posix.h"
#include "wasi.h"
#include "wasix.h"

enum { PIPED = WASIX_STDIO_PIPED, INHERIT = WASIX_STDIO_INHERIT, NONE = WASIX_STDIO_NULL, LOG = WASIX_STDIO_LOG };

static int ended(int32_t pid) {
  struct wasix_option_pid which = {1, pid};
  struct wasix_join_status st;
  int err;
  while ((err = wasix_proc_join(&which, 0, &st)) == EINTR)
    ;
  return err ? -err : st.tag == WASIX_EXIT_NORMAL ? st.exit_normal : 1000 + st.tag;
}

static int old(const char *name, const char *args, const char *preopens, int in, int out, int err, const char *dir, struct wasix_process_handles *h) {
  memset(h, 0xff, sizeof *h);
  return wasix_proc_spawn(name, strlen(name), 0, args, strlen(args), preopens, strlen(preopens), in, out, err, dir, strlen(dir), h);
}

// lines prints what comes out of a pipe.
static void lines(const char *what, int fd) {
  char b[512];
  int n = 0;
  for (ssize_t k; (k = read(fd, b + n, sizeof b - 1 - n)) > 0;)
    n += k;
  b[n] = 0;
  say("%s: %s", what, b);
  close(fd);
}

static volatile int caught;
static void note(int sig) { caught = sig; }

// signals has a handler for one of those that it was begun with ignored. A library that
// has asked which these are is told of all.
static int signals(int ask) {
  if (ask) {
    uint32_t n;
    uint8_t all[2 * 64];
    if (wasix_proc_signals_sizes_get(&n) || n > 64 || wasix_proc_signals_get(all))
      return 1;
    say("ignored");
    for (uint32_t i = 0; i < n; i++) {
      say(" %d", all[2 * i]);
      signal(all[2 * i], SIG_IGN);
    }
    say("\n");
  }
  signal(SIGUSR1, note);
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR2);
  say("caught %d\n", caught);
  return 0;
}

static int child(int argc, char **argv) {
  const char *what = argv[1];
  if (strcmp(what, "tell") == 0) { // its arguments, directory and variables
    char dir[64];
    say("[%d", argc);
    for (int i = 0; i < argc; i++)
      say(" %s", argv[i]);
    say(" in %s A=%s]\n", getcwd(dir, sizeof dir), getenv("A") ? getenv("A") : "none");
    return 3;
  }
  if (strcmp(what, "upper") == 0) { // a filter; it has no pipe but its own
    char c;
    while (read(0, &c, 1) == 1) {
      c -= c >= 'a' && c <= 'z' ? 32 : 0;
      write(1, &c, 1);
    }
    write(2, "done\n", 5);
    for (int fd = 4; fd < 32; fd++) // 3 is the root directory
      if (fcntl(fd, F_GETFD) >= 0)
        write(2, "open\n", 5);
    return 4;
  }
  if (strcmp(what, "preopens") == 0) {
    for (int fd = 0; fd < 8; fd++) {
      uint32_t at[2]; // a tag, and the length of the name
      char name[16] = "";
      if (wasi_fd_prestat_get(fd, at) == 0 && wasi_fd_prestat_dir_name(fd, name, at[1]) == 0)
        say("%d %s\n", fd, name);
    }
    return 0;
  }
  if (strcmp(what, "signals") == 0)
    return signals(argc > 2);
  char c;
  return read(0, &c, 1) == 0 && write(1, "nowhere", 7) == 7 ? 5 : 6; // null
}

int main(int argc, char **argv) {
  if (argc > 1)
    return child(argc, argv);
  if (!getenv("A")) { // once more, with variables
    char *self[] = {"spawn"}, *vars[] = {"A=1", "PATH=/nix:/job"};
    return wasix_proc_exec4("/job/spawn", 10, self, 1, vars, 2, 0, 0, 0);
  }
  struct wasix_process_handles h;
  int32_t pid;

  int err = old("/job/spawn", "spawn\ntell\nx y", "", INHERIT, INHERIT, LOG, "/dev", &h);
  say("inherited %d: ends %d, handles %d%d%d\n", err, ended(h.pid), h.stdin.tag, h.stdout.tag, h.stderr.tag);

  err = old("spawn", "spawn\nupper", "", PIPED, PIPED, PIPED, "", &h);
  say("piped %d, handles %d%d%d\n", err, h.stdin.tag, h.stdout.tag, h.stderr.tag);
  struct wasix_process_handles other; // which does not have the first one's pipes
  err = old("spawn", "spawn\nupper", "", PIPED, PIPED, NONE, "", &other);
  write(h.stdin.fd, "some words\n", 11);
  close(h.stdin.fd);
  lines("out", h.stdout.fd);
  lines("err", h.stderr.fd);
  say("ends %d\n", ended(h.pid));
  close(other.stdin.fd);
  lines("other", other.stdout.fd);
  say("ends %d\n", ended(other.pid));

  err = old("spawn", "spawn\nnull", "", NONE, NONE, NONE, "", &h);
  say("null %d: ends %d\n", err, ended(h.pid));

  err = old("spawn", "spawn\npreopens", "/job\n/dev", INHERIT, INHERIT, INHERIT, "", &h);
  say("preopens %d: ends %d\n", err, ended(h.pid));

  // What fails leaves nothing open.
  int next = dup(1);
  close(next);
  say("missing %d\n", old("/job/nix", "nix", "", PIPED, PIPED, PIPED, "", &h) == ENOENT);
  say("not found %d\n", old("nix", "nix", "", PIPED, PIPED, PIPED, "", &h) == ENOENT);
  say("no directory %d\n", old("spawn", "spawn\ntell", "", PIPED, PIPED, PIPED, "/nix", &h) == ENOENT);
  say("no preopen %d\n", old("spawn", "spawn\ntell", "/nix", PIPED, PIPED, PIPED, "", &h) == ENOENT);
  say("mode %d\n", old("spawn", "spawn\ntell", "", PIPED, PIPED, 4, "", &h) == EINVAL);
  say("chroot %d\n", wasix_proc_spawn("spawn", 5, 1, "", 0, "", 0, 0, 0, 0, "", 0, &h) == ENOTSUP);
  say("chroot %d\n", wasix_proc_spawn("spawn", 5, 2, "", 0, "", 0, 0, 0, 0, "", 0, &h) == EINVAL);
  say("handles %d\n", wasix_proc_spawn("spawn", 5, 0, "", 0, "", 0, 0, 0, 0, "", 0, (void *)0xfffffff0) == EFAULT);
  say("nothing is left %d\n", dup(1) == next);
  close(next);

  // The others: what is done with descriptors, and the variables.
  int fds[2];
  pipe(fds);
  struct wasix_spawn_fd_op ops[] = {
      {.cmd = WASIX_SPAWN_DUP2, .fd = 1, .src_fd = fds[1]},
      {.cmd = WASIX_SPAWN_CLOSE, .fd = fds[1]},
      {.cmd = WASIX_SPAWN_CLOSE, .fd = fds[0]},
      {.cmd = WASIX_SPAWN_CHDIR, .path = "/dev", .path_len = 4},
  };
  err = wasix_proc_spawn2("spawn", 5, "spawn\ntell", 10, "A=2\nB=", 6, ops, 4, 0, 0, 1, "/nix:/job", 9, &pid);
  close(fds[1]);
  lines("spawn2", fds[0]);
  say("%d ends %d\n", err, ended(pid));

  char *args[] = {"spawn", "tell", "two\nlines"}, *env[] = {"A=three\nlines"};
  err = wasix_proc_spawn3("/job/spawn", 10, args, 3, env, 1, 0, 0, 0, 0, 0, 0, 0, &pid);
  say("spawn3 %d ends %d\n", err, ended(pid));

  struct wasix_signal_disposition ignore[] = {{SIGUSR1, WASIX_SIGNAL_IGNORE}, {SIGUSR2, WASIX_SIGNAL_IGNORE}};
  char *asks[] = {"spawn", "signals", "ask"};
  for (uint32_t n = 3; n > 1; n--) {
    err = wasix_proc_spawn3("/job/spawn", 10, asks, n, env, 1, 0, 0, ignore, 2, 0, 0, 0, &pid);
    say("%d ends %d\n", err, ended(pid));
  }
  return 0;
}
