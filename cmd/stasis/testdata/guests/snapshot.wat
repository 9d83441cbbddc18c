;; Asks to be saved, twice, and says what came of it: its exit code is the sum of the
;; errnos.
(module
  (import "wasix_32v1" "proc_snapshot" (func $snapshot (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "before\nbetween\nafter\n")
  (func $say (param $at i32) (param $n i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $n))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start") (local $errno i32)
    (call $say (i32.const 100) (i32.const 7))
    (local.set $errno (call $snapshot))
    (call $say (i32.const 107) (i32.const 8))
    (local.set $errno (i32.add (local.get $errno) (call $snapshot)))
    (call $say (i32.const 115) (i32.const 6))
    (call $exit (local.get $errno))))
