(module ;; limit WHAT: comes up against a limit; exits with the errno, 70 if there is none. WHAT: nofile, write, append, at, truncate, fork, memory
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $fd_filestat_set_size (param i32 i64) (result i32)))
  (import "wasix_32v1" "fd_dup" (func $fd_dup (param i32 i32) (result i32)))
  (import "wasix_32v1" "proc_fork" (func $proc_fork (param i32 i32) (result i32)))
  (import "wasix_32v1" "thread_sleep" (func $thread_sleep (param i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "file")
  (data (i32.const 520) "\00\10\00\00\00\04\00\00") ;; 1 KiB at 4096
  (func $end (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
  (func $open (param $flags i32) (result i32) ;; creates the file below descriptor 3
    (call $end (call $path_open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 4)
      (i32.const 9) (i64.const 0x400064) (i64.const 0) (local.get $flags) (i32.const 32)))
    (i32.load (i32.const 32)))
  (func $main (export "_start")
    (local $what i32) (local $i i32) (local $fd i32)
    (drop (call $args_get (i32.const 64) (i32.const 256)))
    (local.set $what (i32.load8_u (i32.load (i32.const 68))))
    (if (i32.eq (local.get $what) (i32.const 0x6e)) ;; nofile
      (then (loop $next
        (call $end (call $fd_dup (i32.const 1) (i32.const 32)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $i) (i32.const 2000))))))
    (if (i32.eq (local.get $what) (i32.const 0x77)) ;; write
      (then
        (local.set $fd (call $open (i32.const 0)))
        (loop $next
          (call $end (call $fd_write (local.get $fd) (i32.const 520) (i32.const 1) (i32.const 32)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 100))))))
    (if (i32.eq (i32.load16_u (i32.load (i32.const 68))) (i32.const 0x7061)) ;; append
      (then
        (local.set $fd (call $open (i32.const 1)))
        (loop $next
          (call $end (call $fd_write (local.get $fd) (i32.const 520) (i32.const 1) (i32.const 32)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 100))))))
    (if (i32.eq (i32.load16_u (i32.load (i32.const 68))) (i32.const 0x7461)) ;; at
      (then (call $end (call $fd_pwrite (call $open (i32.const 0)) (i32.const 520) (i32.const 1) (i64.const 100000) (i32.const 32)))))
    (if (i32.eq (local.get $what) (i32.const 0x74)) ;; truncate
      (then (call $end (call $fd_filestat_set_size (call $open (i32.const 0)) (i64.const 100000)))))
    (if (i32.eq (local.get $what) (i32.const 0x66)) ;; fork
      (then (loop $next
        (call $end (call $proc_fork (i32.const 1) (i32.const 32)))
        (if (i32.eqz (i32.load (i32.const 32))) (then (drop (call $thread_sleep (i64.const 36000000000000)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $i) (i32.const 100))))))
    (if (i32.eq (local.get $what) (i32.const 0x6d)) ;; memory
      (then (if (i32.lt_s (memory.grow (i32.const 200)) (i32.const 0)) (then (call $proc_exit (i32.const 48))))))
    (call $proc_exit (i32.const 70))))
