// What wasix-libc leaves out or only pretends to do, by the calls of stasis_1: job
// control, masks and dispositions of signals, terminals. Without it a shell runs, but
// its signals end it through the library's own handlers, with a message of theirs.
//
// The library's table of handlers stays in use: __wasm_signal looks there. The kernel
// is told besides what is to be done with a signal, so that it is what applies the
// defaults, masks and restarts.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "stasis.h"
#include "wasix.h"

static int result(int err) {
  if (err == 0)
    return 0;
  errno = err;
  return -1;
}

// Signals.

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

static uint64_t bits(const sigset_t *set) {
  uint64_t b;
  memcpy(&b, set, sizeof b);
  return b;
}
static void setbits(sigset_t *set, uint64_t b) {
  memset(set, 0, sizeof *set);
  memcpy(set, &b, sizeof b);
}

int sigaction(int sig, const struct sigaction *act, struct sigaction *old) {
  if (sig < 1 || sig > 64 || (act && (sig == SIGKILL || sig == SIGSTOP)))
    return result(EINVAL);
  if (sig == SIGKILL || sig == SIGSTOP) {
    if (old)
      memset(old, 0, sizeof *old);
    return 0;
  }
  if (sig >= 32 && sig < 35)
    return result(EINVAL);
  struct stasis_sigaction a = {STASIS_SIG_CATCH, 0, 0};
  if (act) {
    if (act->sa_handler == SIG_DFL)
      a.disposition = STASIS_SIG_DFL;
    else if (act->sa_handler == SIG_IGN)
      a.disposition = STASIS_SIG_IGN;
    a.flags = act->sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART | SA_NODEFER | SA_RESETHAND);
    a.mask = bits(&act->sa_mask);
  }
  // The library's table first: a handler may run as soon as the kernel knows.
  if (__sigaction(sig, act, old))
    return -1;
  return act ? result(signal_action(sig, &a, NULL)) : 0;
}

// Signals that nobody says anything about have the kernel's defaults, or are ignored as
// the program was begun.
__attribute__((constructor)) static void tell_dispositions(void) {
  struct stasis_sigaction a;
  for (int sig = 1; sig < 32; sig++)
    if (sig != SIGKILL && sig != SIGSTOP && signal_action(sig, NULL, &a) == 0 && a.disposition != STASIS_SIG_CATCH)
      signal_action(sig, &a, NULL);
}

// signal is linked with --wrap=signal, since the library has it in one object with SIG_IGN.
void (*__wrap_signal(int sig, void (*handler)(int)))(int) {
  struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
  return sigaction(sig, &a, &old) ? SIG_ERR : old.sa_handler;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
  uint64_t b = set ? bits(set) : 0, was;
  int err = signal_mask((uint32_t)how, set ? &b : NULL, &was);
  if (err == 0 && old)
    setbits(old, was);
  return result(err);
}
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) { return sigprocmask(how, set, old) ? errno : 0; }
int sigsuspend(const sigset_t *set) {
  uint64_t b = bits(set);
  return result(signal_suspend(&b));
}
int sigpending(sigset_t *set) {
  uint64_t b;
  int err = signal_pending(&b);
  if (err == 0)
    setbits(set, b);
  return result(err);
}

// Processes.

static uint32_t count(char *const *list) {
  uint32_t n = 0;
  while (list && list[n])
    n++;
  return n;
}

// The library joins arguments by line feeds, which some have in them.
int execve(const char *path, char *const *argv, char *const *envp) {
  return result(wasix_proc_exec4(path, strlen(path), argv, count(argv), envp, count(envp), 0, "", 0));
}
int execvp(const char *file, char *const *argv) {
  const char *dirs = getenv("PATH");
  if (!dirs)
    dirs = "";
  return result(wasix_proc_exec4(file, strlen(file), argv, count(argv), environ, count(environ), 1, dirs, strlen(dirs)));
}

pid_t waitpid(pid_t pid, int *status, int options) {
  struct stasis_siginfo info;
  uint32_t which = pid == -1 ? STASIS_P_ALL : pid > 0 ? STASIS_P_PID : STASIS_P_PGID;
  uint32_t how = STASIS_WEXITED | (options & WNOHANG ? STASIS_WNOHANG : 0) | (options & WUNTRACED ? STASIS_WSTOPPED : 0) | (options & WCONTINUED ? STASIS_WCONTINUED : 0);
  if (pid == 0)
    pid = getpgrp();
  if (result(child_wait(which, pid < 0 ? -pid : pid, how, &info)))
    return -1;
  if (info.pid == 0)
    return 0;
  int s = info.status & 0xff;
  switch (info.code) {
  case STASIS_CLD_EXITED: s <<= 8; break;
  case STASIS_CLD_DUMPED: s |= 0x80; break;
  case STASIS_CLD_STOPPED: s = s << 8 | 0x7f; break;
  case STASIS_CLD_CONTINUED: s = 0xffff; break;
  }
  if (status)
    *status = s;
  return info.pid;
}
pid_t wait(int *status) { return waitpid(-1, status, 0); }
pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage) {
  if (usage)
    memset(usage, 0, sizeof *usage);
  return waitpid(pid, status, options);
}
pid_t wait3(int *status, int options, struct rusage *usage) { return wait4(-1, status, options, usage); }

int setpgid(pid_t pid, pid_t group) { return result(process_group_set(pid, group)); }
pid_t getpgid(pid_t pid) {
  pid_t group;
  return result(process_group_get(pid, &group)) ? -1 : group;
}
pid_t getpgrp(void) { return getpgid(0); }
pid_t getsid(pid_t pid) {
  pid_t session;
  return result(session_get(pid, &session)) ? -1 : session;
}
pid_t setsid(void) {
  pid_t session;
  return result(session_set(&session)) ? -1 : session;
}

int getrlimit(int resource, struct rlimit *limit) {
  struct stasis_limit l;
  if (result(limit_get((uint32_t)resource, &l)))
    return -1;
  *limit = (struct rlimit){l.soft, l.hard};
  return 0;
}
int setrlimit(int resource, const struct rlimit *limit) {
  const struct stasis_limit l = {limit->rlim_cur, limit->rlim_max};
  return result(limit_set((uint32_t)resource, &l));
}

// Descriptors. The library's pipe2 and dup3 take flags and forget them: what popen writes
// to would be open in its child, which then never comes to an end of its input.

static int flagged(int fd, int flags) {
  if (flags & O_CLOEXEC && fcntl(fd, F_SETFD, FD_CLOEXEC))
    return -1;
  return flags & O_NONBLOCK ? fcntl(fd, F_SETFL, O_NONBLOCK) : 0;
}
int pipe2(int fds[2], int flags) {
  if (result(wasix_fd_pipe(&fds[0], &fds[1])))
    return -1;
  return flagged(fds[0], flags) || flagged(fds[1], flags) ? -1 : 0;
}
int dup3(int fd, int to, int flags) {
  if (fd == to)
    return result(EINVAL);
  return dup2(fd, to) < 0 || flagged(to, flags & O_CLOEXEC) ? -1 : to;
}

// Terminals.

pid_t tcgetpgrp(int fd) {
  pid_t group;
  return result(terminal_group_get(fd, &group)) ? -1 : group;
}
int tcsetpgrp(int fd, pid_t group) { return result(terminal_group_set(fd, group)); }
int tcgetattr(int fd, struct termios *t) {
  struct stasis_termios k;
  if (result(terminal_attr_get(fd, &k)))
    return -1;
  memset(t, 0, sizeof *t);
  t->c_iflag = k.iflag, t->c_oflag = k.oflag, t->c_cflag = k.cflag, t->c_lflag = k.lflag;
  t->c_line = k.line;
  memcpy(t->c_cc, k.cc, sizeof k.cc);
  t->__c_ispeed = k.ispeed, t->__c_ospeed = k.ospeed;
  return 0;
}
int tcsetattr(int fd, int action, const struct termios *t) {
  struct stasis_termios k = {t->c_iflag, t->c_oflag, t->c_cflag, t->c_lflag, t->c_line, {0}, t->__c_ispeed, t->__c_ospeed};
  memcpy(k.cc, t->c_cc, sizeof k.cc);
  return result(terminal_attr_set(fd, (uint32_t)action, &k));
}

// Nobody is logged in.
char *getlogin(void) {
  errno = ENOENT;
  return NULL;
}
