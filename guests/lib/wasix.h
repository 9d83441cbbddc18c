// The calls of WASIX (import module wasix_32v1) with their exact types, and the
// layouts of what is passed in memory: those of wasix-libc. What WASI preview 1
// has too is in wasi.h.
//
// A call gives an errno, 0 if all went well, unless it gives nothing.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define WASIX(name) __attribute__((import_module("wasix_32v1"), import_name(#name)))
#define WASIX_SIZE(type, size) _Static_assert(sizeof(struct type) == size, #type)

typedef int32_t wasix_pid;
typedef int32_t wasix_tid;

struct wasix_iovec {
  void *buf;
  uint32_t len;
};

// Options: a tag, 0 for none and 1 for some, and the value.
struct wasix_option_pid {
  uint8_t tag;
  wasix_pid pid;
};
WASIX_SIZE(wasix_option_pid, 8);

struct wasix_option_fd {
  uint8_t tag;
  int32_t fd;
};
WASIX_SIZE(wasix_option_fd, 8);

struct wasix_option_timestamp {
  uint8_t tag;
  uint64_t ns;
};
WASIX_SIZE(wasix_option_timestamp, 16);

// What proc_join tells of a child.
enum { WASIX_JOIN_NON_BLOCKING = 1, WASIX_JOIN_WAKE_STOPPED = 2 };
enum { WASIX_NOTHING, WASIX_EXIT_NORMAL, WASIX_EXIT_SIGNAL, WASIX_STOPPED };
struct wasix_join_status {
  uint8_t tag;
  union {
    uint16_t exit_normal;
    struct {
      uint16_t exit_code;
      uint8_t signal;
    } exit_signal;
    uint8_t stopped;
  };
};
WASIX_SIZE(wasix_join_status, 6);

struct wasix_process_handles {
  wasix_pid pid;
  struct wasix_option_fd stdin, stdout, stderr;
};
WASIX_SIZE(wasix_process_handles, 28);

// What becomes of a standard stream with proc_spawn: a pipe to the parent, the
// parent's own, /dev/null, or the log, which is the parent's own here.
enum { WASIX_STDIO_PIPED, WASIX_STDIO_INHERIT, WASIX_STDIO_NULL, WASIX_STDIO_LOG };

// What proc_spawn2 does with fds, in order.
enum { WASIX_SPAWN_CLOSE, WASIX_SPAWN_DUP2, WASIX_SPAWN_OPEN, WASIX_SPAWN_CHDIR, WASIX_SPAWN_FCHDIR };
struct wasix_spawn_fd_op {
  uint8_t cmd;
  int32_t fd, src_fd;
  const char *path;
  uint32_t path_len, dirflags;
  uint16_t oflags;
  uint64_t rights_base, rights_inheriting;
  uint16_t fdflags, fdflagsext;
};
WASIX_SIZE(wasix_spawn_fd_op, 56);

enum { WASIX_SIGNAL_DEFAULT, WASIX_SIGNAL_IGNORE };
struct wasix_signal_disposition {
  uint8_t signal, disposition;
};
WASIX_SIZE(wasix_signal_disposition, 2);

// What thread_spawn_v2 starts a thread with. The exported wasi_thread_start gets
// its address.
struct wasix_thread_start {
  void *stack, *tls_base;
  void *start_funct, *start_args;
  void *reserved[10];
  uint32_t stack_size, guard_size;
};
WASIX_SIZE(wasix_thread_start, 64);

// What stack_checkpoint fills.
struct wasix_stack_snapshot {
  uint64_t user, hash[2];
};
WASIX_SIZE(wasix_stack_snapshot, 24);

struct wasix_tty {
  uint32_t cols, rows, width, height;
  uint8_t stdin_tty, stdout_tty, stderr_tty, echo, line_buffered, line_feeds;
};
WASIX_SIZE(wasix_tty, 24);

enum { WASIX_CLOEXEC = 1 };             // extended flags of an fd
enum { WASIX_EVENTFD_SEMAPHORE = 1 };   // flags of fd_event

enum { WASIX_EPOLL_ADD, WASIX_EPOLL_MOD, WASIX_EPOLL_DEL };
enum {
  WASIX_EPOLLIN = 1, WASIX_EPOLLOUT = 2, WASIX_EPOLLRDHUP = 4, WASIX_EPOLLPRI = 8,
  WASIX_EPOLLERR = 16, WASIX_EPOLLHUP = 32, WASIX_EPOLLET = 64, WASIX_EPOLLONESHOT = 128,
};
struct wasix_epoll_event {
  uint32_t events;
  struct {
    uint32_t ptr;
    int32_t fd;
    uint32_t data1;
    uint64_t data2;
  } data;
};
WASIX_SIZE(wasix_epoll_event, 32);

// Addresses: tag 0 none, 1 IPv4, 2 IPv6, 3 AF_UNIX (a path).
struct wasix_addr_port {
  uint8_t tag;
  union {
    struct {
      uint16_t port;
      uint8_t addr[4];
    } inet4;
    struct {
      uint16_t port, addr[8], flow_info[2], scope_id[2];
    } inet6;
    char unix_path[108];
  };
};
WASIX_SIZE(wasix_addr_port, 110);

// Processes

WASIX(proc_fork) int32_t wasix_proc_fork(uint32_t copy_memory, wasix_pid *ret0);
WASIX(proc_fork_env) int32_t wasix_proc_fork_env(wasix_pid *ret0);
WASIX(proc_exec) void wasix_proc_exec(const char *name, uint32_t name_len, const char *args, uint32_t args_len);
WASIX(proc_exec2) void wasix_proc_exec2(const char *name, uint32_t name_len, const char *args, uint32_t args_len, const char *envs, uint32_t envs_len);
WASIX(proc_exec3) int32_t wasix_proc_exec3(const char *name, uint32_t name_len, const char *args, uint32_t args_len, const char *envs, uint32_t envs_len, uint32_t search_path, const char *path, uint32_t path_len);
WASIX(proc_spawn) int32_t wasix_proc_spawn(const char *name, uint32_t name_len, uint32_t chroot, const char *args, uint32_t args_len, const char *preopen, uint32_t preopen_len, uint32_t stdin, uint32_t stdout, uint32_t stderr, const char *working_dir, uint32_t working_dir_len, struct wasix_process_handles *ret0);
WASIX(proc_spawn2) int32_t wasix_proc_spawn2(const char *name, uint32_t name_len, const char *args, uint32_t args_len, const char *envs, uint32_t envs_len, const struct wasix_spawn_fd_op *fd_ops, uint32_t fd_ops_len, const struct wasix_signal_disposition *signal_dispositions, uint32_t signal_dispositions_len, uint32_t search_path, const char *path, uint32_t path_len, wasix_pid *ret0);
WASIX(proc_join) int32_t wasix_proc_join(struct wasix_option_pid *pid, uint32_t flags, struct wasix_join_status *ret0);
WASIX(proc_id) int32_t wasix_proc_id(wasix_pid *ret0);
WASIX(proc_parent) int32_t wasix_proc_parent(wasix_pid pid, wasix_pid *ret0);
WASIX(proc_exit2) void wasix_proc_exit2(uint32_t rval);
WASIX(proc_snapshot) int32_t wasix_proc_snapshot(void);

// Signals and timers

WASIX(callback_signal) void wasix_callback_signal(const char *callback, uint32_t callback_len);
WASIX(proc_signal) int32_t wasix_proc_signal(wasix_pid pid, uint32_t signal);
WASIX(thread_signal) int32_t wasix_thread_signal(wasix_tid tid, uint32_t signal);
WASIX(proc_raise_interval) int32_t wasix_proc_raise_interval(uint32_t sig, uint64_t interval, uint32_t repeat);
WASIX(proc_signals_get) int32_t wasix_proc_signals_get(uint8_t *buf);
WASIX(proc_signals_sizes_get) int32_t wasix_proc_signals_sizes_get(uint32_t *ret0);

// Threads, futex

WASIX(thread_spawn_v2) int32_t wasix_thread_spawn_v2(struct wasix_thread_start *args, wasix_tid *ret0);
WASIX(thread_sleep) int32_t wasix_thread_sleep(uint64_t duration);
WASIX(thread_id) int32_t wasix_thread_id(wasix_tid *ret0);
WASIX(thread_join) int32_t wasix_thread_join(wasix_tid tid);
WASIX(thread_parallelism) int32_t wasix_thread_parallelism(uint32_t *ret0);
WASIX(thread_exit) _Noreturn void wasix_thread_exit(uint32_t rval);
WASIX(futex_wait) int32_t wasix_futex_wait(uint32_t *futex, uint32_t expected, const struct wasix_option_timestamp *timeout, uint8_t *ret0);
WASIX(futex_wake) int32_t wasix_futex_wake(uint32_t *futex, uint8_t *ret0);
WASIX(futex_wake_all) int32_t wasix_futex_wake_all(uint32_t *futex, uint8_t *ret0);

// Stacks (setjmp, fibers)

WASIX(stack_checkpoint) int32_t wasix_stack_checkpoint(struct wasix_stack_snapshot *snapshot, uint64_t *ret0);
WASIX(stack_restore) _Noreturn void wasix_stack_restore(const struct wasix_stack_snapshot *snapshot, uint64_t val);
WASIX(context_create) int32_t wasix_context_create(uint64_t *new_context_ptr, uint32_t entrypoint);
WASIX(context_switch) int32_t wasix_context_switch(uint64_t next_context);
WASIX(context_destroy) int32_t wasix_context_destroy(uint64_t context);

// Files, pipes, events, cwd, tty, clock

WASIX(fd_dup) int32_t wasix_fd_dup(int32_t fd, int32_t *ret0);
WASIX(fd_dup2) int32_t wasix_fd_dup2(int32_t fd, int32_t min_result_fd, uint32_t cloexec, int32_t *ret0);
WASIX(fd_fdflags_get) int32_t wasix_fd_fdflags_get(int32_t fd, uint16_t *ret0);
WASIX(fd_fdflags_set) int32_t wasix_fd_fdflags_set(int32_t fd, uint32_t flags);
WASIX(fd_event) int32_t wasix_fd_event(uint64_t initial_val, uint32_t flags, int32_t *ret0);
WASIX(fd_pipe) int32_t wasix_fd_pipe(int32_t *ret0, int32_t *ret1);
WASIX(path_open2) int32_t wasix_path_open2(int32_t fd, uint32_t dirflags, const char *path, uint32_t path_len, uint32_t oflags, uint64_t fs_rights_base, uint64_t fs_rights_inheriting, uint32_t fdflags, uint32_t fdflagsext, int32_t *ret0);
WASIX(getcwd) int32_t wasix_getcwd(uint8_t *path, uint32_t *path_len);
WASIX(chdir) int32_t wasix_chdir(const char *path, uint32_t path_len);
WASIX(tty_get) int32_t wasix_tty_get(struct wasix_tty *state);
WASIX(tty_set) int32_t wasix_tty_set(struct wasix_tty *state);
WASIX(clock_time_set) int32_t wasix_clock_time_set(uint32_t id, uint64_t timestamp);
WASIX(epoll_create) int32_t wasix_epoll_create(int32_t *ret0);
WASIX(epoll_ctl) int32_t wasix_epoll_ctl(int32_t epfd, uint32_t op, int32_t fd, const struct wasix_epoll_event *event);
WASIX(epoll_wait) int32_t wasix_epoll_wait(int32_t epfd, struct wasix_epoll_event *event, uint32_t maxevents, uint64_t timeout, uint32_t *ret0);

// Sockets

WASIX(sock_status) int32_t wasix_sock_status(int32_t fd, uint8_t *ret0);
WASIX(sock_addr_local) int32_t wasix_sock_addr_local(int32_t fd, struct wasix_addr_port *ret0);
WASIX(sock_addr_peer) int32_t wasix_sock_addr_peer(int32_t fd, struct wasix_addr_port *ret0);
WASIX(sock_open) int32_t wasix_sock_open(uint32_t af, uint32_t socktype, uint32_t sock_proto, int32_t *ret0);
WASIX(sock_pair) int32_t wasix_sock_pair(uint32_t af, uint32_t socktype, uint32_t sock_proto, int32_t *ret0, int32_t *ret1);
WASIX(sock_set_opt_flag) int32_t wasix_sock_set_opt_flag(int32_t fd, uint32_t sockopt, uint32_t flag);
WASIX(sock_get_opt_flag) int32_t wasix_sock_get_opt_flag(int32_t fd, uint32_t sockopt, uint8_t *ret0);
WASIX(sock_set_opt_time) int32_t wasix_sock_set_opt_time(int32_t fd, uint32_t sockopt, const struct wasix_option_timestamp *timeout);
WASIX(sock_get_opt_time) int32_t wasix_sock_get_opt_time(int32_t fd, uint32_t sockopt, struct wasix_option_timestamp *ret0);
WASIX(sock_set_opt_size) int32_t wasix_sock_set_opt_size(int32_t fd, uint32_t sockopt, uint64_t size);
WASIX(sock_get_opt_size) int32_t wasix_sock_get_opt_size(int32_t fd, uint32_t sockopt, uint64_t *ret0);
WASIX(sock_join_multicast_v4) int32_t wasix_sock_join_multicast_v4(int32_t fd, const void *multiaddr, const void *interface);
WASIX(sock_leave_multicast_v4) int32_t wasix_sock_leave_multicast_v4(int32_t fd, const void *multiaddr, const void *interface);
WASIX(sock_join_multicast_v6) int32_t wasix_sock_join_multicast_v6(int32_t fd, const void *multiaddr, uint32_t interface);
WASIX(sock_leave_multicast_v6) int32_t wasix_sock_leave_multicast_v6(int32_t fd, const void *multiaddr, uint32_t interface);
WASIX(sock_bind) int32_t wasix_sock_bind(int32_t fd, const struct wasix_addr_port *addr);
WASIX(sock_listen) int32_t wasix_sock_listen(int32_t fd, uint32_t backlog);
WASIX(sock_accept_v2) int32_t wasix_sock_accept_v2(int32_t fd, uint32_t flags, int32_t *ret0, struct wasix_addr_port *ret1);
WASIX(sock_connect) int32_t wasix_sock_connect(int32_t fd, const struct wasix_addr_port *addr);
WASIX(sock_recv_from) int32_t wasix_sock_recv_from(int32_t fd, const struct wasix_iovec *ri_data, uint32_t ri_data_len, uint32_t ri_flags, uint32_t *ret0, uint16_t *ret1, struct wasix_addr_port *ret2);
WASIX(sock_send_to) int32_t wasix_sock_send_to(int32_t fd, const struct wasix_iovec *si_data, uint32_t si_data_len, uint32_t si_flags, const struct wasix_addr_port *addr, uint32_t *ret0);
WASIX(sock_send_file) int32_t wasix_sock_send_file(int32_t out_fd, int32_t in_fd, uint64_t offset, uint64_t count, uint64_t *ret0);
WASIX(resolve) int32_t wasix_resolve(const char *host, uint32_t host_len, uint32_t port, void *addrs, uint32_t naddrs, uint32_t *ret0);

// Virtual network ports

WASIX(port_bridge) int32_t wasix_port_bridge(const char *network, uint32_t network_len, const char *token, uint32_t token_len, uint32_t security);
WASIX(port_unbridge) int32_t wasix_port_unbridge(void);
WASIX(port_dhcp_acquire) int32_t wasix_port_dhcp_acquire(void);
WASIX(port_addr_add) int32_t wasix_port_addr_add(const void *addr);
WASIX(port_addr_remove) int32_t wasix_port_addr_remove(const void *addr);
WASIX(port_addr_clear) int32_t wasix_port_addr_clear(void);
WASIX(port_mac) int32_t wasix_port_mac(void *ret0);
WASIX(port_addr_list) int32_t wasix_port_addr_list(void *addrs, uint32_t *naddrs);
WASIX(port_gateway_set) int32_t wasix_port_gateway_set(const void *addr);
WASIX(port_route_add) int32_t wasix_port_route_add(const void *cidr, const void *via_router, const struct wasix_option_timestamp *preferred_until, const struct wasix_option_timestamp *expires_at);
WASIX(port_route_remove) int32_t wasix_port_route_remove(const void *cidr);
WASIX(port_route_clear) int32_t wasix_port_route_clear(void);
WASIX(port_route_list) int32_t wasix_port_route_list(void *routes, uint32_t *nroutes);

// Dynamic linking, libffi

WASIX(dlopen) int32_t wasix_dlopen(const char *path, uint32_t path_len, uint32_t flags, uint8_t *err_buf, uint32_t err_buf_len, const char *ld_library_path, uint32_t ld_library_path_len, uint32_t *ret0);
WASIX(dlsym) int32_t wasix_dlsym(uint32_t handle, const char *symbol, uint32_t symbol_len, uint8_t *err_buf, uint32_t err_buf_len, uint32_t *ret0);
WASIX(dl_invalid_handle) int32_t wasix_dl_invalid_handle(uint32_t handle);
WASIX(call_dynamic) int32_t wasix_call_dynamic(uint32_t function_id, const uint8_t *values, uint32_t values_len, uint8_t *results, uint32_t results_len, uint32_t strict);
WASIX(closure_allocate) int32_t wasix_closure_allocate(uint32_t *ret0);
WASIX(closure_prepare) int32_t wasix_closure_prepare(uint32_t backing_function_id, uint32_t closure_id, const void *argument_types, uint32_t argument_types_len, const void *result_types, uint32_t result_types_len, uint8_t *user_data_ptr);
WASIX(closure_free) int32_t wasix_closure_free(uint32_t closure_id);
WASIX(reflect_signature) int32_t wasix_reflect_signature(uint32_t function_id, void *argument_types, uint32_t argument_types_len, void *result_types, uint32_t result_types_len, void *ret0);

// Newer than most programs

WASIX(proc_exec4) int32_t wasix_proc_exec4(const char *name, uint32_t name_len, char *const *argv, uint32_t argc, char *const *envp, uint32_t envc, uint32_t search_path, const char *path, uint32_t path_len);
WASIX(proc_spawn3) int32_t wasix_proc_spawn3(const char *name, uint32_t name_len, char *const *argv, uint32_t argc, char *const *envp, uint32_t envc, const struct wasix_spawn_fd_op *fd_ops, uint32_t fd_ops_len, const struct wasix_signal_disposition *signal_dispositions, uint32_t signal_dispositions_len, uint32_t search_path, const char *path, uint32_t path_len, wasix_pid *ret0);
WASIX(proc_raise_interval2) int32_t wasix_proc_raise_interval2(uint32_t sig, const void *new, void *old);
