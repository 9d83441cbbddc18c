;; A reactor: a start function, then _initialize, then what is called; all of
;; them loop and call the host.
(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "get" (func $get (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 6))
  (start $begin)
  (func $step (param $k i32) (result i32) (local $i i32)
    (local.set $i (i32.const 4))
    (loop $l
      (call $log (i32.add (local.get $k) (local.get $i)))
      (global.set $n (i32.add (i32.mul (global.get $n) (i32.const 3)) (call $get (local.get $i))))
      (i32.store (i32.mul (local.get $i) (local.get $k)) (global.get $n))
      (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (global.get $n))
  (func $begin (drop (call $step (i32.const 10))))
  (func (export "_initialize") (drop (call $step (i32.const 20))) (drop (call $step (i32.const 30))))
  (func (export "run") (result i32) (call $step (i32.const 40)))
)
