;; Recursion without end: the limit is ours, and the same however the program was stopped.
(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "get" (func $get (param i32) (result i32)))
  (import "env" "pair" (func $pair (param i64) (result i32 i64)))
  (import "env" "ref" (func $ref (param i32) (result externref)))
  (import "env" "num" (func $num (param externref) (result i32)))
  (global $depth (mut i32) (i32.const 0))
  (func $down (param i64) (result i64)
    (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
    (i64.add (local.get 0) (call $down (i64.add (local.get 0) (i64.const 1)))))
  (func (export "run") (result i64) (call $down (i64.const 1)))
)
