// posix.h by WASIX, or, on Linux, what that has under other names.
#include "posix.h"

#ifdef __wasm__
#include "wasi.h"
#include "wasix.h"

#ifndef POSIX_THREADS
int errno;
#else
_Thread_local int errno;
#endif
char **environ;

static int result(int32_t err) {
  if (err == 0)
    return 0;
  errno = err;
  return -1;
}

// Memory: what is given is not taken back.

extern char __heap_base;
static _Atomic size_t heap_used;

void *malloc(size_t n) {
  n = (n + 15) & ~(size_t)15;
  size_t at = (size_t)&__heap_base + atomic_fetch_add(&heap_used, n);
  at = (at + 15) & ~(size_t)15;
  size_t have = __builtin_wasm_memory_size(0) * 65536;
  if (at + n + 16 > have && __builtin_wasm_memory_grow(0, (at + n + 16 - have + 65535) / 65536) == (size_t)-1) {
    errno = ENOMEM;
    return NULL;
  }
  return (void *)at;
}

void *memcpy(void *to, const void *from, size_t n) {
  char *t = to;
  for (const char *f = from; n; n--)
    *t++ = *f++;
  return to;
}
void *memmove(void *to, const void *from, size_t n) {
  char *t = to;
  const char *f = from;
  if (t <= f)
    return memcpy(to, from, n);
  while (n--)
    t[n] = f[n];
  return to;
}
void *memset(void *to, int c, size_t n) {
  for (char *t = to; n; n--)
    *t++ = (char)c;
  return to;
}
int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y)
      return *x - *y;
  return 0;
}
size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n])
    n++;
  return n;
}
int strncmp(const char *a, const char *b, size_t n) {
  for (; n && *a && *a == *b; n--)
    a++, b++;
  return n ? (unsigned char)*a - (unsigned char)*b : 0;
}
int strcmp(const char *a, const char *b) { return strncmp(a, b, (size_t)-1); }
char *strchr(const char *s, int c) {
  for (;; s++) {
    if (*s == (char)c)
      return (char *)s;
    if (!*s)
      return NULL;
  }
}
char *strrchr(const char *s, int c) {
  const char *last = NULL;
  for (; (s = strchr(s, c)); s++) {
    last = s;
    if (!c)
      break;
  }
  return (char *)last;
}
char *strcpy(char *to, const char *from) { return memcpy(to, from, strlen(from) + 1); }
char *strcat(char *to, const char *from) {
  strcpy(to + strlen(to), from);
  return to;
}
char *strdup(const char *s) { return strcpy(malloc(strlen(s) + 1), s); }
int atoi(const char *s) {
  int v = 0, sign = *s == '-';
  for (s += sign; *s >= '0' && *s <= '9'; s++)
    v = v * 10 + (*s - '0');
  return sign ? -v : v;
}
char *getenv(const char *name) {
  size_t n = strlen(name);
  for (char **e = environ; *e; e++)
    if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
      return *e + n + 1;
  return NULL;
}

// Signals. The host calls __wasm_signal for all of them once it has been named.

static sighandler_t handlers[65];
static _Atomic int named;

static int fatal(int sig) { return sig != SIGCHLD && sig != SIGCONT && sig != SIGURG && sig != SIGWINCH; }

__attribute__((export_name("__wasm_signal"))) void on_signal(int sig) {
  sighandler_t h = sig > 0 && sig < 65 ? handlers[sig] : SIG_IGN;
  int was = errno;
  if (h == SIG_DFL && fatal(sig))
    wasix_proc_exit2(128 + (uint32_t)sig); // the nearest to dying of it that WASIX has
  else if (h != SIG_DFL && h != SIG_IGN)
    h(sig);
  errno = was;
}

sighandler_t signal(int sig, sighandler_t handler) {
  if (sig < 1 || sig > 64 || sig == SIGKILL || sig == SIGSTOP) {
    errno = EINVAL;
    return SIG_ERR;
  }
  sighandler_t old = handlers[sig];
  handlers[sig] = handler;
  if (!atomic_exchange(&named, 1))
    wasix_callback_signal("__wasm_signal", 13);
  return old;
}

int kill(pid_t pid, int sig) { return result(wasix_proc_signal(pid, (uint32_t)sig)); }
int raise(int sig) { return kill(getpid(), sig); }
int interval(int sig, unsigned ms, int repeat) { return result(wasix_proc_raise_interval((uint32_t)sig, (uint64_t)ms * 1000000, (uint32_t)repeat)); }

// Processes.

static pid_t forked(uint32_t copy) {
  pid_t pid;
  int32_t err = wasix_proc_fork(copy, &pid);
  return err ? result(err) : pid;
}
pid_t fork(void) { return forked(1); }
pid_t vfork(void) { return forked(0); }
pid_t getpid(void) {
  pid_t pid;
  return result(wasix_proc_id(&pid)) ? -1 : pid;
}
pid_t getppid(void) {
  pid_t pid;
  return result(wasix_proc_parent(getpid(), &pid)) ? -1 : pid;
}
_Noreturn void _exit(int code) { wasi_proc_exit((uint32_t)code & 0xff); }
_Noreturn void exit(int code) { _exit(code); }

static uint32_t count(char *const *list) {
  uint32_t n = 0;
  while (list && list[n])
    n++;
  return n;
}
static int exec(const char *path, char *const *argv, char *const *envp, int search) {
  const char *dirs = search ? getenv("PATH") : NULL;
  if (!dirs)
    dirs = "";
  return result(wasix_proc_exec4(path, strlen(path), argv, count(argv), envp, count(envp), (uint32_t)search, dirs, strlen(dirs)));
}
int execve(const char *path, char *const *argv, char *const *envp) { return exec(path, argv, envp, 0); }
int execvp(const char *file, char *const *argv) { return exec(file, argv, environ, 1); }

pid_t waitpid(pid_t pid, int *status, int options) {
  struct wasix_option_pid who = {pid != -1, pid};
  struct wasix_join_status st;
  uint32_t flags = (options & WNOHANG ? WASIX_JOIN_NON_BLOCKING : 0) | (options & WUNTRACED ? WASIX_JOIN_WAKE_STOPPED : 0);
  int32_t err;
  while ((err = wasix_proc_join(&who, flags, &st)) == EINTR)
    ; // calls that handlers interrupt are made again: signal has SA_RESTART
  if (result(err))
    return -1;
  int s = 0;
  switch (st.tag) {
  case WASIX_NOTHING: return 0;
  case WASIX_EXIT_NORMAL: s = (st.exit_normal & 0xff) << 8; break;
  case WASIX_EXIT_SIGNAL: s = st.exit_signal.signal; break;
  case WASIX_STOPPED: s = st.stopped << 8 | 0x7f; break;
  }
  if (status)
    *status = s;
  return who.pid;
}
pid_t wait(int *status) { return waitpid(-1, status, 0); }

// Files.

ssize_t read(int fd, void *buf, size_t n) {
  struct wasix_iovec v = {buf, n};
  uint32_t done;
  int32_t err;
  while ((err = wasi_fd_read(fd, &v, 1, &done)) == EINTR)
    ;
  return result(err) ? -1 : (ssize_t)done;
}
ssize_t write(int fd, const void *buf, size_t n) {
  struct wasix_iovec v = {(void *)buf, n};
  uint32_t done;
  int32_t err;
  while ((err = wasi_fd_write(fd, &v, 1, &done)) == EINTR)
    ;
  return result(err) ? -1 : (ssize_t)done;
}
int close(int fd) { return result(wasi_fd_close(fd)); }
int pipe(int fds[2]) { return result(wasix_fd_pipe(&fds[0], &fds[1])); }
int pipe2(int fds[2], int flags) {
  if (pipe(fds))
    return -1;
  for (int i = 0; i < 2; i++)
    if ((flags & O_NONBLOCK && fcntl(fds[i], F_SETFL, O_NONBLOCK)) || (flags & O_CLOEXEC && fcntl(fds[i], F_SETFD, FD_CLOEXEC)))
      return -1;
  return 0;
}
int dup(int fd) {
  int to;
  return result(wasix_fd_dup(fd, &to)) ? -1 : to;
}
// dup2 is a copy at some number that is moved to its own. Where WASIX's fd_renumber
// copies instead, as Wasmer's does, the first one is left.
int dup2(int fd, int to) {
  int copy;
  if (fd == to)
    return fcntl(fd, F_GETFD) < 0 ? -1 : to;
  if ((copy = dup(fd)) < 0)
    return -1;
  if (copy == to)
    return to;
  int32_t err = wasi_fd_renumber(copy, to);
  wasi_fd_close(copy);
  return result(err) ? -1 : to;
}

// WASI's flags of an open file, in its fdstat at 2.
enum { WASI_APPEND = 1, WASI_NONBLOCK = 4 };

int fcntl(int fd, int cmd, ...) {
  va_list args;
  va_start(args, cmd);
  int arg = cmd == F_GETFD || cmd == F_GETFL ? 0 : va_arg(args, int);
  va_end(args);
  uint16_t ext;
  struct { uint8_t type; uint16_t flags; uint64_t rights[2]; } st;
  int to;
  switch (cmd) {
  case F_DUPFD:
  case F_DUPFD_CLOEXEC: return result(wasix_fd_dup2(fd, arg, cmd == F_DUPFD_CLOEXEC, &to)) ? -1 : to;
  case F_GETFD: return result(wasix_fd_fdflags_get(fd, &ext)) ? -1 : ext;
  case F_SETFD: return result(wasix_fd_fdflags_set(fd, (uint32_t)arg));
  case F_GETFL: return result(wasi_fd_fdstat_get(fd, &st)) ? -1 : (st.flags & WASI_APPEND ? O_APPEND : 0) | (st.flags & WASI_NONBLOCK ? O_NONBLOCK : 0);
  case F_SETFL: return result(wasi_fd_fdstat_set_flags(fd, (arg & O_APPEND ? WASI_APPEND : 0) | (arg & O_NONBLOCK ? WASI_NONBLOCK : 0)));
  }
  return result(EINVAL);
}

// root is the fd of the directory /.
static int root(void) {
  static int fd;
  for (int i = 3; !fd && i < 16; i++) {
    struct { uint8_t tag; uint32_t len; } st;
    char name[4];
    if (wasi_fd_prestat_get(i, &st) == 0 && st.len == 1 && wasi_fd_prestat_dir_name(i, name, 1) == 0 && name[0] == '/')
      fd = i;
  }
  return fd;
}
// absolute puts the working directory before a path; the leading / is left out.
static const char *absolute(const char *path, char *buf, size_t n) {
  if (*path != '/' && getcwd(buf, n - strlen(path) - 2)) {
    strcat(buf, "/");
    path = strcat(buf, path);
  }
  while (*path == '/')
    path++;
  return *path ? path : ".";
}
int open(const char *path, int flags, ...) {
  char buf[512];
  path = absolute(path, buf, sizeof buf);
  int fd, mode = flags & 3;
  uint64_t rights = (uint64_t)1 << 2 | 1 << 3 | 1 << 5 | 1 << 21 | 1 << 27; // seek, set flags, tell, stat, poll
  rights |= (mode != O_WRONLY ? 1 << 1 : 0) | (mode != O_RDONLY ? 1 << 6 | 1 << 0 | 1 << 22 : 0);
  uint32_t how = (flags & O_CREAT ? 1 : 0) | (flags & O_EXCL ? 4 : 0) | (flags & O_TRUNC ? 8 : 0);
  return result(wasix_path_open2(root(), 1, path, strlen(path), how, rights, rights, (flags & O_APPEND ? WASI_APPEND : 0) | (flags & O_NONBLOCK ? WASI_NONBLOCK : 0),
                                 flags & O_CLOEXEC ? WASIX_CLOEXEC : 0, &fd)) ? -1 : fd;
}
int unlink(const char *path) {
  char buf[512];
  path = absolute(path, buf, sizeof buf);
  return result(wasi_path_unlink_file(root(), path, strlen(path)));
}
int chdir(const char *path) { return result(wasix_chdir(path, strlen(path))); }
char *getcwd(char *buf, size_t n) {
  uint32_t len = n - 1;
  if (result(wasix_getcwd((uint8_t *)buf, &len)))
    return NULL;
  buf[len] = 0;
  return buf;
}

int eventfd(unsigned initial, int flags) {
  int fd;
  if (result(wasix_fd_event(initial, flags & EFD_SEMAPHORE ? WASIX_EVENTFD_SEMAPHORE : 0, &fd)))
    return -1;
  return flags & EFD_NONBLOCK && fcntl(fd, F_SETFL, O_NONBLOCK) ? -1 : fd;
}

static const struct { uint32_t here, there; } epoll_bits[] = {
  {EPOLLIN, WASIX_EPOLLIN}, {EPOLLOUT, WASIX_EPOLLOUT}, {EPOLLRDHUP, WASIX_EPOLLRDHUP}, {EPOLLPRI, WASIX_EPOLLPRI},
  {EPOLLERR, WASIX_EPOLLERR}, {EPOLLHUP, WASIX_EPOLLHUP}, {EPOLLET, WASIX_EPOLLET}, {EPOLLONESHOT, WASIX_EPOLLONESHOT},
};

int epoll_create1(int flags) {
  int fd;
  if (result(wasix_epoll_create(&fd)))
    return -1;
  return flags & O_CLOEXEC && fcntl(fd, F_SETFD, FD_CLOEXEC) ? -1 : fd;
}
int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev) {
  struct wasix_epoll_event e = {0};
  for (size_t i = 0; ev && i < sizeof epoll_bits / sizeof *epoll_bits; i++)
    e.events |= ev->events & epoll_bits[i].here ? epoll_bits[i].there : 0;
  e.data.fd = fd;
  e.data.data2 = ev ? ev->data.u64 : 0;
  return result(wasix_epoll_ctl(ep, op == EPOLL_CTL_ADD ? WASIX_EPOLL_ADD : op == EPOLL_CTL_MOD ? WASIX_EPOLL_MOD : WASIX_EPOLL_DEL, fd, &e));
}
int epoll_wait(int ep, struct epoll_event *evs, int n, int ms) {
  struct wasix_epoll_event list[16];
  uint32_t got;
  if (n > 16)
    n = 16;
  if (result(wasix_epoll_wait(ep, list, (uint32_t)n, ms < 0 ? ~(uint64_t)0 : (uint64_t)ms * 1000000, &got)))
    return -1;
  for (uint32_t k = 0; k < got; k++) {
    evs[k].events = 0;
    for (size_t i = 0; i < sizeof epoll_bits / sizeof *epoll_bits; i++)
      evs[k].events |= list[k].events & epoll_bits[i].there ? epoll_bits[i].here : 0;
    evs[k].data.u64 = list[k].data.data2;
  }
  return (int)got;
}

int sched_yield(void) { return result(wasi_sched_yield()); }
int usleep(unsigned us) { return result(wasix_thread_sleep((uint64_t)us * 1000)); }

// Stacks.

int checkpoint(jump_buf *b) {
  uint64_t v;
  if (wasix_stack_checkpoint((struct wasix_stack_snapshot *)b, &v))
    __builtin_trap();
  return (int)v;
}
_Noreturn void jump(jump_buf *b, int v) { wasix_stack_restore((struct wasix_stack_snapshot *)b, v ? (uint64_t)v : 1); }

#ifndef POSIX_THREADS
// A fiber has a C stack of its own; the host knows of the other one. stacks.s.
void *stack_pointer(void);
void set_stack_pointer(void *sp);
void fiber_start(void);

enum { FIBER_STACK = 16384 };
static void (*fiber_main)(void); // of a fiber that has not begun
static char *fiber_stack;
static struct { uint64_t id; void (*f)(void); char *stack; int begun; } fibers[64];
static int fiber_count;

void fiber_first(void) { fiber_main(); }
void *fiber_top(void) { return fiber_stack + FIBER_STACK; }

uint64_t fiber_new(void (*f)(void)) {
  int n = fiber_count++;
  if (n == 64 || wasix_context_create(&fibers[n].id, (uint32_t)(uintptr_t)fiber_start))
    __builtin_trap();
  fibers[n].f = f;
  fibers[n].stack = malloc(FIBER_STACK);
  fibers[n].begun = 0;
  return fibers[n].id;
}
void fiber_switch(uint64_t to) {
  for (int i = 0; i < fiber_count; i++)
    if (fibers[i].id == to && !fibers[i].begun) {
      fibers[i].begun = 1;
      fiber_main = fibers[i].f;
      fiber_stack = fibers[i].stack;
    }
  void *sp = stack_pointer();
  if (wasix_context_switch(to))
    __builtin_trap();
  set_stack_pointer(sp);
}
void fiber_destroy(uint64_t id) {
  if (wasix_context_destroy(id))
    __builtin_trap();
}
#endif

#ifdef POSIX_THREADS
// Threads. start.s begins in thread_main on the thread's stack.

enum { THREAD_STACK = 16384, MAX_TASKS = 600 };
static struct task {
  struct wasix_thread_start start;
  void (*f)(int);
  int id, tid;
} tasks[MAX_TASKS];
static int task_count;

__attribute__((weak)) void thread_main(int tid, struct task *t) { // programs may have their own
  (void)tid;
  t->f(t->id);
}
int task_start(void (*f)(int id), int id) {
  struct task *t = &tasks[task_count];
  size_t align = __builtin_wasm_tls_align() | 15;
  char *tls = malloc(__builtin_wasm_tls_size() + align + 1);
  t->start.tls_base = (void *)(((uintptr_t)tls + align) & ~(uintptr_t)align);
  t->start.stack = (char *)malloc(THREAD_STACK) + THREAD_STACK;
  t->start.stack_size = THREAD_STACK;
  t->f = f;
  t->id = id;
  if (result(wasix_thread_spawn_v2(&t->start, &t->tid)))
    return -1;
  return task_count++;
}
void task_join(int number) { wasix_thread_join(tasks[number].tid); }
int futex_wait(_Atomic uint32_t *at, uint32_t expected) {
  struct wasix_option_timestamp never = {0};
  uint8_t woken;
  if (*at != expected) // whether the call tells is not said
    return result(EAGAIN);
  return result(wasix_futex_wait((uint32_t *)at, expected, &never, &woken));
}
int futex_wake(_Atomic uint32_t *at, int n) {
  uint8_t woken;
  if (result(n == 1 ? wasix_futex_wake((uint32_t *)at, &woken) : wasix_futex_wake_all((uint32_t *)at, &woken)))
    return -1;
  return woken;
}
#endif

int main(int argc, char **argv);

__attribute__((export_name("_start"))) void _start(void) {
  uint32_t argc, bytes, envc, env_bytes;
  if (wasi_args_sizes_get(&argc, &bytes) || wasi_environ_sizes_get(&envc, &env_bytes))
    __builtin_trap();
  char **argv = malloc((argc + 1) * sizeof *argv);
  environ = malloc((envc + 1) * sizeof *environ);
  if (wasi_args_get(argv, malloc(bytes + 1)) || wasi_environ_get(environ, malloc(env_bytes + 1)))
    __builtin_trap();
  argv[argc] = environ[envc] = NULL;
  exit(main((int)argc, argv));
}

#else // Linux

int interval(int sig, unsigned ms, int repeat) {
  if (sig != SIGALRM)
    return -1;
  struct itimerval v = {.it_value = {ms / 1000, ms % 1000 * 1000}};
  if (repeat)
    v.it_interval = v.it_value;
  return setitimer(ITIMER_REAL, &v, NULL);
}

static struct { pthread_t t; void (*f)(int); int id; } tasks[600];
static int task_count;
static void *task_run(void *p) {
  long n = (long)p;
  tasks[n].f(tasks[n].id);
  return NULL;
}
int task_start(void (*f)(int id), int id) {
  int n = task_count++;
  tasks[n].f = f;
  tasks[n].id = id;
  return pthread_create(&tasks[n].t, NULL, task_run, (void *)(long)n) ? -1 : n;
}
void task_join(int number) { pthread_join(tasks[number].t, NULL); }
int futex_wait(_Atomic uint32_t *at, uint32_t expected) { return (int)syscall(SYS_futex, at, FUTEX_WAIT, expected, NULL, NULL, 0); }
int futex_wake(_Atomic uint32_t *at, int n) { return syscall(SYS_futex, at, FUTEX_WAKE, n == 1 ? 1 : 1 << 30, NULL, NULL, 0) > 0; }

static ucontext_t contexts[65];
static uint64_t fiber_count, fiber_now;
uint64_t fiber_new(void (*f)(void)) {
  ucontext_t *c = &contexts[++fiber_count];
  getcontext(c);
  c->uc_stack.ss_sp = malloc(65536);
  c->uc_stack.ss_size = 65536;
  makecontext(c, f, 0);
  return fiber_count;
}
void fiber_switch(uint64_t to) {
  uint64_t from = fiber_now;
  fiber_now = to;
  swapcontext(&contexts[from], &contexts[to]);
}
void fiber_destroy(uint64_t id) { free(contexts[id].uc_stack.ss_sp); }

#endif
