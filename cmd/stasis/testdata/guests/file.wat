(module ;; file FD r|w PATH: prints a file, or writes one, below descriptor FD; exits with the errno
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 2048) "written\n")
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
  (func $strlen (param $s i32) (result i32)
    (local $n i32)
    (loop $next
      (if (i32.load8_u (i32.add (local.get $s) (local.get $n)))
        (then (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $next))))
    (local.get $n))
  (func $main (export "_start")
    (local $write i32) (local $path i32)
    (drop (call $args_get (i32.const 64) (i32.const 256)))
    (local.set $write (i32.eq (i32.load8_u (i32.load (i32.const 72))) (i32.const 119)))
    (local.set $path (i32.load (i32.const 76)))
    (call $check (call $path_open
      (i32.sub (i32.load8_u (i32.load (i32.const 68))) (i32.const 48))
      (i32.const 1) (local.get $path) (call $strlen (local.get $path))
      (select (i32.const 9) (i32.const 0) (local.get $write)) ;; create, truncate
      (select (i64.const 64) (i64.const 2) (local.get $write)) (i64.const 0) (i32.const 0) (i32.const 32)))
    (i32.store (i32.const 0) (i32.const 2048))
    (i32.store (i32.const 4) (i32.const 8))
    (if (local.get $write)
      (then (call $check (call $fd_write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 8))))
      (else
        (loop $next
          (i32.store (i32.const 4) (i32.const 1024))
          (call $check (call $fd_read (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 8)))
          (if (i32.load (i32.const 8))
            (then
              (i32.store (i32.const 4) (i32.load (i32.const 8)))
              (call $check (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
              (br $next))))))))
