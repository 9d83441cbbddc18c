(module ;; prints 1 to 5, with a nap of 20 ms after each
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\10\00\00\00\02\00\00\000\n")
  (func $nap
    (i32.store (i32.const 80) (i32.const 1)) ;; the monotonic clock
    (i64.store (i32.const 88) (i64.const 20000000))
    (drop (call $poll_oneoff (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 0))))
  (func $main (export "_start")
    (loop $next
      (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
      (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
      (call $nap)
      (br_if $next (i32.lt_u (i32.load8_u (i32.const 16)) (i32.const 53))))))
