// The calls of WASI preview 1 that the library uses, with their exact types.
#pragma once
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

WASI(args_get) int32_t wasi_args_get(char **argv, char *buf);
WASI(args_sizes_get) int32_t wasi_args_sizes_get(uint32_t *argc, uint32_t *bytes);
WASI(environ_get) int32_t wasi_environ_get(char **env, char *buf);
WASI(environ_sizes_get) int32_t wasi_environ_sizes_get(uint32_t *count, uint32_t *bytes);
WASI(clock_time_get) int32_t wasi_clock_time_get(uint32_t id, uint64_t precision, uint64_t *ret0);
WASI(fd_close) int32_t wasi_fd_close(int32_t fd);
WASI(fd_fdstat_get) int32_t wasi_fd_fdstat_get(int32_t fd, void *ret0);
WASI(fd_fdstat_set_flags) int32_t wasi_fd_fdstat_set_flags(int32_t fd, uint32_t flags);
WASI(fd_prestat_get) int32_t wasi_fd_prestat_get(int32_t fd, void *ret0);
WASI(fd_prestat_dir_name) int32_t wasi_fd_prestat_dir_name(int32_t fd, char *path, uint32_t path_len);
WASI(fd_read) int32_t wasi_fd_read(int32_t fd, const void *iovs, uint32_t iovs_len, uint32_t *ret0);
WASI(fd_renumber) int32_t wasi_fd_renumber(int32_t fd, int32_t to);
WASI(fd_write) int32_t wasi_fd_write(int32_t fd, const void *iovs, uint32_t iovs_len, uint32_t *ret0);
WASI(path_unlink_file) int32_t wasi_path_unlink_file(int32_t fd, const char *path, uint32_t path_len);
WASI(proc_exit) _Noreturn void wasi_proc_exit(uint32_t code);
WASI(proc_raise) int32_t wasi_proc_raise(uint32_t signal);
WASI(sched_yield) int32_t wasi_sched_yield(void);
