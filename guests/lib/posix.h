// What the guests of this suite call: the part of POSIX and Linux that WASIX has,
// under its names. Built for Linux, a program gets it from the system, so that
// what it prints there is what it must print here; built for WASIX, from posix.c,
// which is a small library without a libc below it, also for threads.
//
// Beyond POSIX:
//
//	say           printf to fd 1, in one write: %d %u %x %s %c %ld and %%
//	checkpoint    setjmp that saves the signal mask, with jump for longjmp
//	interval      setitimer by a number
//	task          threads, joined by number; futex_wait and futex_wake
//	fiber         stacks that switch to each other; 0 is the one of main
#pragma once
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__

typedef int32_t pid_t;
typedef long ssize_t;
typedef uint32_t mode_t;

extern char **environ;
#ifndef POSIX_THREADS
extern int errno;
#else
extern _Thread_local int errno;
#endif

// WASI's numbers.
enum {
  E2BIG = 1, EACCES = 2, EAGAIN = 6, EBADF = 8, ECHILD = 12, EDEADLK = 16, EEXIST = 20, EFAULT = 21, EINTR = 27, EINVAL = 28,
  EISDIR = 31, EMFILE = 33, ENOENT = 44, ENOEXEC = 45, ENOMEM = 48, ENOSYS = 52, ENOTDIR = 54, ENOTSUP = 58, EPERM = 63,
  EPIPE = 64, ESRCH = 71, ETIMEDOUT = 73,
};

// Linux's numbers.
enum {
  SIGHUP = 1, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM,
  SIGTERM, SIGCHLD = 17, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH = 28,
};
typedef void (*sighandler_t)(int);
#define SIG_DFL ((sighandler_t)0)
#define SIG_IGN ((sighandler_t)-2) // 1 is a function
#define SIG_ERR ((sighandler_t)-1)
sighandler_t signal(int sig, sighandler_t handler); // it stays until the next call
int kill(pid_t pid, int sig);
int raise(int sig);

pid_t fork(void);
pid_t vfork(void);
pid_t getpid(void);
pid_t getppid(void);
_Noreturn void exit(int code);
_Noreturn void _exit(int code);
int execve(const char *path, char *const *argv, char *const *envp);
int execvp(const char *file, char *const *argv);

// A status is as on Linux: an exit code in bits 8 to 15, a signal in the low 7,
// 0x7f and the signal for a stop.
enum { WNOHANG = 1, WUNTRACED = 2 };
#define WIFEXITED(s) (((s) & 0x7f) == 0)
#define WEXITSTATUS(s) ((s) >> 8 & 0xff)
#define WIFSIGNALED(s) (((s) & 0x7f) != 0 && ((s) & 0x7f) != 0x7f)
#define WTERMSIG(s) ((s) & 0x7f)
#define WIFSTOPPED(s) (((s) & 0xff) == 0x7f)
#define WSTOPSIG(s) ((s) >> 8 & 0xff)
pid_t waitpid(pid_t pid, int *status, int options);
pid_t wait(int *status);

enum { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_TRUNC = 0x200, O_APPEND = 0x400, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000 };
enum { F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC = 1030 };
enum { FD_CLOEXEC = 1 };
ssize_t read(int fd, void *buf, size_t n);
ssize_t write(int fd, const void *buf, size_t n);
int close(int fd);
int pipe(int fds[2]);
int pipe2(int fds[2], int flags);
int dup(int fd);
int dup2(int fd, int to);
int fcntl(int fd, int cmd, ...);
int open(const char *path, int flags, ...);
int unlink(const char *path);
int chdir(const char *path);
char *getcwd(char *buf, size_t n);

enum { EFD_SEMAPHORE = 1, EFD_NONBLOCK = O_NONBLOCK };
int eventfd(unsigned initial, int flags);

enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL, EPOLL_CTL_MOD };
enum { EPOLLIN = 1, EPOLLPRI = 2, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDHUP = 0x2000 };
#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
struct epoll_event {
  uint32_t events;
  union { int fd; uint64_t u64; } data;
};
int epoll_create1(int flags);
int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int epoll_wait(int ep, struct epoll_event *evs, int n, int ms);

int sched_yield(void);
int usleep(unsigned us);

void *malloc(size_t n); // not to be given back
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strcpy(char *to, const char *from);
char *strcat(char *to, const char *from);
char *strdup(const char *s);
int atoi(const char *s);
char *getenv(const char *name);

typedef struct { uint64_t words[3]; } jump_buf;
int checkpoint(jump_buf *b) __attribute__((returns_twice));
_Noreturn void jump(jump_buf *b, int v);

#else // Linux

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

typedef sigjmp_buf jump_buf;
#define checkpoint(b) sigsetjmp(*(b), 1)
#define jump(b, v) siglongjmp(*(b), v)

#endif

// task_start runs f with id on a thread of its own and gives its number.
int task_start(void (*f)(int id), int id);
void task_join(int number);
int futex_wait(_Atomic uint32_t *at, uint32_t expected); // -1 and EAGAIN if it has another value
int futex_wake(_Atomic uint32_t *at, int n);             // 1, or all for more; 1 if one was woken

// interval has a signal sent in so many milliseconds, or each; 0 ends that.
int interval(int sig, unsigned ms, int repeat);

// fiber_new makes a stack on which f runs when it is switched to. f does not return.
uint64_t fiber_new(void (*f)(void));
void fiber_switch(uint64_t to);
void fiber_destroy(uint64_t id);

static inline void say_text(char *b, int *n, const char *s) {
  while (*s && *n < 1000)
    b[(*n)++] = *s++;
}

static inline void say_number(char *b, int *n, unsigned long v, unsigned base) {
  char digits[24];
  int d = 0;
  do
    digits[d++] = "0123456789abcdef"[v % base];
  while (v /= base);
  while (d)
    b[(*n)++] = digits[--d];
}

__attribute__((format(printf, 1, 2), unused)) static void say(const char *format, ...) {
  char b[1100];
  int n = 0;
  va_list args;
  va_start(args, format);
  for (const char *p = format; *p && n < 1000; p++) {
    if (*p != '%') {
      b[n++] = *p;
      continue;
    }
    int wide = *++p == 'l';
    if (wide)
      p++;
    switch (*p) {
    case 'd': {
      long v = wide ? va_arg(args, long) : va_arg(args, int);
      if (v < 0)
        b[n++] = '-';
      say_number(b, &n, v < 0 ? -(unsigned long)v : (unsigned long)v, 10);
      break;
    }
    case 'u':
    case 'x':
      say_number(b, &n, wide ? va_arg(args, unsigned long) : va_arg(args, unsigned), *p == 'x' ? 16 : 10);
      break;
    case 'c': b[n++] = (char)va_arg(args, int); break;
    case 's': say_text(b, &n, va_arg(args, const char *)); break;
    default: b[n++] = *p;
    }
  }
  va_end(args);
  for (int done = 0; done < n;) {
    ssize_t k = write(1, b + done, (size_t)(n - done));
    if (k < 0 && errno == EINTR)
      continue;
    if (k <= 0)
      _exit(99);
    done += (int)k;
  }
}
