// The calls of Stasis's own (import module stasis_1), for what neither WASI nor WASIX
// has one: job control, masks and queues of signals, terminals, locks, limits. What
// each does is said in the page of Linux's manual that is named beside it. Signals and
// flags go by Linux's numbers. Signatures and layouts stay as they are; new calls may
// come.
//
// A call gives an errno of WASI's, 0 if all went well.
#pragma once
#include <stdint.h>

#define STASIS(name) __attribute__((import_module("stasis_1"), import_name(#name)))
#define STASIS_SIZE(type, size) _Static_assert(sizeof(struct type) == size, #type)

// Processes. A pid of 0 is the caller's.
// getpgid(2).
STASIS(process_group_get) int process_group_get(int32_t pid, int32_t *group);
// setpgid(2).
STASIS(process_group_set) int process_group_set(int32_t pid, int32_t group);
// getsid(2).
STASIS(session_get) int session_get(int32_t pid, int32_t *session);
// setsid(2).
STASIS(session_set) int session_set(int32_t *session);

// What a signal came of, or a child's change: siginfo_t of sigaction(2).
struct stasis_siginfo {
  int32_t signo;
  int32_t code;
  int32_t pid;
  int32_t status; // of a child: exit code or signal
  uint64_t value; // of signal_queue
};
STASIS_SIZE(stasis_siginfo, 24);

// waitid(2): which are STASIS_P_ALL and so on; with nothing to tell, pid is 0.
enum { STASIS_P_ALL, STASIS_P_PID, STASIS_P_PGID };
enum { STASIS_WNOHANG = 1, STASIS_WSTOPPED = 2, STASIS_WEXITED = 4, STASIS_WCONTINUED = 8, STASIS_WNOWAIT = 0x1000000 };
enum { STASIS_CLD_EXITED = 1, STASIS_CLD_KILLED, STASIS_CLD_DUMPED, STASIS_CLD_STOPPED = 5, STASIS_CLD_CONTINUED };
STASIS(child_wait) int child_wait(uint32_t which, int32_t id, uint32_t options, struct stasis_siginfo *info);

// sigaction(2). Which function is called is said by WASIX's callback_signal, for all
// signals at once. Pointers may be null.
enum { STASIS_SIG_DFL, STASIS_SIG_IGN, STASIS_SIG_CATCH };
enum { STASIS_SA_NOCLDSTOP = 1, STASIS_SA_NOCLDWAIT = 2, STASIS_SA_RESTART = 0x10000000, STASIS_SA_NODEFER = 0x40000000 };
#define STASIS_SA_RESETHAND 0x80000000u
struct stasis_sigaction {
  uint32_t disposition;
  uint32_t flags;
  uint64_t mask; // bit n-1 is signal n
};
STASIS_SIZE(stasis_sigaction, 16);
STASIS(signal_action) int signal_action(int32_t sig, const struct stasis_sigaction *action, struct stasis_sigaction *old);

// Masks are the calling thread's.
enum { STASIS_SIG_BLOCK, STASIS_SIG_UNBLOCK, STASIS_SIG_SETMASK };
// pthread_sigmask(3); may be null.
STASIS(signal_mask) int signal_mask(uint32_t how, const uint64_t *set, uint64_t *old);
// sigpending(2).
STASIS(signal_pending) int signal_pending(uint64_t *set);
// sigsuspend(2).
STASIS(signal_suspend) int signal_suspend(const uint64_t *mask);
// sigqueue(3).
STASIS(signal_queue) int signal_queue(int32_t pid, int32_t sig, uint64_t value);
// sigtimedwait(2): ns of all bits are for ever; info may be null.
STASIS(signal_wait) int signal_wait(const uint64_t *set, struct stasis_siginfo *info, uint64_t ns);
// What the handler that runs was called for: the siginfo_t of SA_SIGINFO.
STASIS(signal_info) int signal_info(struct stasis_siginfo *info);

// Terminals.
struct stasis_termios { // Linux's struct termios2
  uint32_t iflag, oflag, cflag, lflag;
  uint8_t line;
  uint8_t cc[19];
  uint32_t ispeed, ospeed;
};
STASIS_SIZE(stasis_termios, 44);
struct stasis_winsize {
  uint16_t rows, cols, xpixel, ypixel;
};
STASIS_SIZE(stasis_winsize, 8);
// openpty(3).
STASIS(terminal_open) int terminal_open(int32_t *master, int32_t *terminal);
// ioctl_tty(2), TIOCSCTTY.
STASIS(terminal_control) int terminal_control(int32_t fd);
// tcgetpgrp(3).
STASIS(terminal_group_get) int terminal_group_get(int32_t fd, int32_t *group);
// tcsetpgrp(3).
STASIS(terminal_group_set) int terminal_group_set(int32_t fd, int32_t group);
// tcgetattr(3).
STASIS(terminal_attr_get) int terminal_attr_get(int32_t fd, struct stasis_termios *termios);
// tcsetattr(3).
STASIS(terminal_attr_set) int terminal_attr_set(int32_t fd, uint32_t action, const struct stasis_termios *termios);
// TIOCGWINSZ.
STASIS(terminal_size_get) int terminal_size_get(int32_t fd, struct stasis_winsize *size);
// TIOCSWINSZ.
STASIS(terminal_size_set) int terminal_size_set(int32_t fd, const struct stasis_winsize *size);

// Locks.
enum { STASIS_LOCK_SH = 1, STASIS_LOCK_EX = 2, STASIS_LOCK_NB = 4, STASIS_LOCK_UN = 8 };
// flock(2).
STASIS(file_lock) int file_lock(int32_t fd, uint32_t operation);
enum { STASIS_F_GETLK, STASIS_F_SETLK, STASIS_F_SETLKW };
enum { STASIS_F_RDLCK, STASIS_F_WRLCK, STASIS_F_UNLCK };
struct stasis_flock {
  uint16_t type, whence;
  int32_t pid;
  int64_t start, len;
};
STASIS_SIZE(stasis_flock, 24);
// fcntl(2).
STASIS(record_lock) int record_lock(int32_t fd, uint32_t command, struct stasis_flock *lock);

// Limits, by Linux's numbers of resources; all bits set is no limit.
struct stasis_limit {
  uint64_t soft, hard;
};
STASIS_SIZE(stasis_limit, 16);
// getrlimit(2).
STASIS(limit_get) int limit_get(uint32_t resource, struct stasis_limit *limit);
// setrlimit(2).
STASIS(limit_set) int limit_set(uint32_t resource, const struct stasis_limit *limit);

// fchdir(2).
STASIS(directory_set) int directory_set(int32_t fd);
