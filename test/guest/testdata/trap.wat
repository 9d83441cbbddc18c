;; A trap at depth, after the memory was changed.
(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "get" (func $get (param i32) (result i32)))
  (import "env" "pair" (func $pair (param i64) (result i32 i64)))
  (import "env" "ref" (func $ref (param i32) (result externref)))
  (import "env" "num" (func $num (param externref) (result i32)))
  (memory (export "memory") 1)
  (func $down (param $n i32) (result i32)
    (i32.store (i32.mul (local.get $n) (i32.const 4)) (call $get (local.get $n)))
    (if (i32.eqz (local.get $n)) (then (drop (i32.load (i32.const 65533)))))
    (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1)))))
  (func (export "run") (result i32) (i32.mul (i32.const 2) (call $down (i32.const 30))))
)
