// eventfd and epoll: level, edge, once.
#include "posix.h"

static void show(const char *what, int ep) {
  struct epoll_event evs[8];
  int n = epoll_wait(ep, evs, 8, 0);
  say("%s: %d", what, n);
  for (int i = 0; i < n; i++)
    say(" %x:%u", (unsigned)evs[i].data.u64, evs[i].events);
  say("\n");
}

static void watch(int ep, int op, int fd, uint32_t events, int name) {
  struct epoll_event ev = {.events = events};
  ev.data.u64 = (uint64_t)name;
  int r = epoll_ctl(ep, op, fd, &ev);
  if (r)
    say("epoll_ctl %d: EEXIST %d ENOENT %d\n", op, errno == EEXIST, errno == ENOENT);
}

static long take(int fd) {
  uint64_t v;
  return read(fd, &v, sizeof v) == sizeof v ? (long)v : -1L;
}
static void give(int fd, uint64_t v) {
  if (write(fd, &v, sizeof v) != sizeof v)
    say("not given\n");
}

int main(void) {
  int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  say("counter %ld", take(e));
  say(" %ld", take(e));
  say(" %d\n", errno == EAGAIN);
  give(e, 5);
  give(e, 6);
  say("added %ld\n", take(e));
  say("semaphore %ld", take(s));
  say(" %ld", take(s));
  say(" %ld\n", take(s));
  uint64_t most = ~(uint64_t)0;
  say("too much %d", (int)write(e, &most, sizeof most));
  say(" %d\n", errno == EINVAL);
  char little;
  say("too little %d", (int)read(e, &little, 1));
  say(" %d\n", errno == EINVAL);

  int fds[2];
  if (pipe2(fds, O_NONBLOCK))
    return 1;
  int ep = epoll_create1(0);
  watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 0xa);
  show("nothing", ep);
  if (write(fds[1], "xyz", 3) != 3)
    return 2;
  show("level", ep);
  show("level again", ep);
  watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLET, 0xb);
  show("edge", ep);
  show("edge again", ep);
  if (write(fds[1], "w", 1) != 1)
    return 3;
  show("edge, more", ep);
  show("edge, no more", ep);
  watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 0xc);
  show("once", ep);
  show("not twice", ep);
  watch(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 0xd);
  show("armed again", ep);
  watch(ep, EPOLL_CTL_ADD, fds[1], EPOLLOUT, 0xe);
  show("writable", ep);
  watch(ep, EPOLL_CTL_ADD, fds[1], EPOLLOUT, 0xe);
  watch(ep, EPOLL_CTL_MOD, e, EPOLLIN, 0xf);
  watch(ep, EPOLL_CTL_DEL, fds[1], 0, 0);
  watch(ep, EPOLL_CTL_DEL, fds[0], 0, 0);
  show("none left", ep);

  watch(ep, EPOLL_CTL_ADD, e, EPOLLIN, 0x1);
  give(e, 1);
  show("eventfd", ep);
  take(e);
  show("eventfd taken", ep);
  watch(ep, EPOLL_CTL_ADD, fds[0], EPOLLIN, 0x2);
  close(fds[1]);
  char b[8];
  say("left in the pipe %d\n", (int)read(fds[0], b, sizeof b));
  show("hung up", ep);
  close(fds[0]);
  show("closed", ep);

  // One that waits is woken by another process.
  give(e, 1);
  take(e);
  pid_t pid = fork();
  if (pid == 0) {
    for (volatile int i = 0; i < 100000; i++)
      ;
    give(e, 9);
    _exit(0);
  }
  struct epoll_event ev;
  int n = epoll_wait(ep, &ev, 1, -1);
  say("woken %d %d %ld\n", n, (int)ev.data.u64, take(e));
  waitpid(pid, NULL, 0);
  say("timeout %d\n", epoll_wait(ep, &ev, 1, 2));
  return 0;
}
