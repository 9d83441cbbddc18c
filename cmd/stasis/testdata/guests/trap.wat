(module ;; traps three calls deep
  (memory (export "memory") 1)
  (func $divide (param $a i32) (param $b i32) (result i32) (i32.div_s (local.get $a) (local.get $b)))
  (func $middle (param $a i32) (result i32) (i32.add (call $divide (local.get $a) (i32.const 0)) (i32.const 1)))
  (func $outer (result i32) (i32.mul (call $middle (i32.const 6)) (i32.const 7)))
  (func $main (export "_start") (drop (call $outer))))
