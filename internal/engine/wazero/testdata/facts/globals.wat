;; Reads of globals that Go writes.
(module
  (import "env" "touch" (func $touch))
  (global $g (export "g") (mut i32) (i32.const 0))
  (memory (export "mem") 1)
  (func (export "spin") (param $n i64) (result i32)
    (loop $l
      (if (global.get $g) (then (return (i32.const 1))))
      (i64.store (i32.const 0) (local.get $n)) ;; is under way
      (br_if $l (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))
    (i32.const 0))
  (func (export "after") (result i32 i32)
    (global.get $g) (call $touch) (global.get $g)))
