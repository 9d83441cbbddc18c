;; A loop whose parameter is of a wider type than what first comes in: a
;; reference that is never null, and later one that is.
(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "get" (func $get (param i32) (result i32)))
  (elem declare func $f)
  (func $f (result i32) (call $get (i32.const 1)))
  (func (export "run") (result i32) (local $i i32) (local $r funcref)
    (local.set $i (i32.const 4))
    (ref.func $f)
    (loop $l (param funcref) (result i32)
      (local.set $r)
      (call $log (ref.is_null (local.get $r)))
      (local.get $r)
      (block $b (param funcref) (result funcref) (call $log (local.get $i)))
      (drop)
      (ref.null func)
      (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1))))
      (ref.is_null))))
