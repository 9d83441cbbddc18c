;; Imports all that hot.wat exports.
(module
  (import "hot" "mem" (memory 1 10))
  (import "hot" "tab" (table 2 funcref))
  (import "hot" "g" (global $g (mut i64)))
  (import "hot" "grow" (func $grow (result i32)))
  (func (export "cont") (result i32 i32)
    (i32.store (i32.const 16) (i32.const 4))
    (drop (call $grow))
    (i32.store (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)) (i32.const 77))
    (global.set $g (i64.add (global.get $g) (i64.const 41)))
    (call_indirect (result i32) (i32.const 1)) (memory.size)))
