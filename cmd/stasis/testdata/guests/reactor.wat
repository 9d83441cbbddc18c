(module ;; a reactor: its start function and _initialize read a line each and say so, sum adds up
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "start\n")
  (data (i32.const 80) "ready\n")
  (global $sum (mut i32) (i32.const 0))
  (start $begin)
  (func $say (param $at i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $line ;; to its end, a byte at a time; adds up the bytes
    (loop $l
      (i32.store (i32.const 0) (i32.const 128))
      (i32.store (i32.const 4) (i32.const 1))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8))
        (then
          (global.set $sum (i32.add (global.get $sum) (i32.load8_u (i32.const 128))))
          (br_if $l (i32.ne (i32.load8_u (i32.const 128)) (i32.const 10)))))))
  (func $begin (call $say (i32.const 64)) (call $line))
  (func $_initialize (export "_initialize") (call $say (i32.const 80)) (call $line))
  (func (export "sum") (param $and i32) (result i32) (i32.add (global.get $sum) (local.get $and))))
