;; Exceptions in the legacy encoding. host.log writes down a number; host.throw
;; throws tag $e with its argument.
(module
  (import "host" "log" (func $log (param i32)))
  (import "host" "triple" (func $triple (param i32) (result i32)))
  (tag $e (param i32))
  (tag $wide (param i64 f32 v128 f64 externref))
  (tag $none)

  (func $raise (param i32) (throw $e (local.get 0)))
  (func $maybe (param i32) (result i32)
    (if (i32.and (local.get 0) (i32.const 1)) (then (throw $e (local.get 0))))
    (call $triple (local.get 0)))

  ;; Through n frames without handlers.
  (func $dig (param i32)
    (if (i32.eqz (local.get 0)) (then (throw $e (i32.const 7))))
    (call $dig (i32.sub (local.get 0) (i32.const 1)))
    (call $log (local.get 0)))
  (func (export "dig") (param i32) (result i32)
    (try (result i32)
      (do (call $dig (local.get 0)) (i32.const -1))
      (catch $e (i32.add (i32.const 100)))))

  ;; Operands below the try, a loop inside, calls in the handler, locals that only
  ;; the handler reads.
  (func (export "sum") (param $n i32) (result i32)
    (local $i i32) (local $acc i32) (local $seen i32)
    (loop $l
      (local.set $acc
        (i32.add
          (local.get $acc)
          (i32.add (call $triple (i32.const 1))
            (try (result i32)
              (do
                (local.set $seen (i32.add (local.get $i) (i32.const 1000)))
                (call $maybe (local.get $i)))
              (catch $e
                (call $log (local.get $seen))
                (call $triple)
                (i32.add (i32.const 1)))))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $acc))

  ;; Nested, rethrown from an outer catch within an inner one, with a call between.
  (func (export "rethrow") (param i32) (result i32)
    (try (result i32)
      (do
        (try (result i32)
          (do (call $raise (local.get 0)) (i32.const 0))
          (catch $none (i32.const -2))
          (catch $e
            (call $log)
            (try (do (throw $none))
              (catch $none (call $log (i32.const 55)) (rethrow 1)))
            (i32.const -3))))
      (catch_all (call $triple (local.get 0)))))

  ;; Rethrown in a loop inside the handler.
  (func (export "later") (param i32) (result i32)
    (local $k i32)
    (try (result i32)
      (do
        (try (do (call $raise (local.get 0)))
          (catch_all
            (loop $l
              (call $log (local.get $k))
              (if (i32.eq (local.get $k) (i32.const 3)) (then (rethrow 2)))
              (local.set $k (i32.add (local.get $k) (i32.const 1)))
              (br $l))))
        (i32.const 0))
      (catch $e)))

  ;; Delegated past a try that would have caught it, and to the caller.
  (func $delegating (param i32) (result i32)
    (try $out (result i32)
      (do
        (try (result i32)
          (do
            (try (result i32)
              (do (call $maybe (local.get 0)))
              (delegate $out)))
          (catch_all (i32.const -9))))
      (catch $e (i32.add (i32.const 40)))))
  (func $leaving (param i32) (result i32)
    (try (result i32)
      (do (try (result i32) (do (call $maybe (local.get 0))) (delegate 1)))
      (catch_all (i32.const -8))))
  (func (export "delegate") (param i32) (result i32)
    (i32.add (call $delegating (local.get 0))
      (try (result i32)
        (do (call $leaving (local.get 0)))
        (catch $e (i32.mul (i32.const 10000))))))

  ;; Values of all types, in a handler that calls.
  (func $throwwide (param i64)
    (call $log (i32.const 1))
    (throw $wide (local.get 0) (f32.const 1.5) (v128.const i64x2 11 22) (f64.const 2.5) (ref.null extern)))
  (func (export "wide") (param i64) (result i64)
    (local $v v128) (local $d f64) (local $f f32) (local $r i32)
    (try (result i64)
      (do (call $throwwide (local.get 0)) (i64.const 0))
      (catch $wide
        (local.set $r (ref.is_null))
        (local.set $d) (local.set $v) (local.set $f)
        (call $log (local.get $r))
        (i64.add (i64x2.extract_lane 1 (local.get $v)))
        (i64.add (i64.trunc_f64_s (f64.mul (local.get $d) (f64.promote_f32 (local.get $f))))))))

  ;; A try with parameters and several results, thrown across call_indirect.
  (type $t (func (param i32) (result i32)))
  (table funcref (elem $maybe))
  (func (export "multi") (param i32) (result i32)
    (local $a i32)
    (i32.const 5)
    (local.get 0)
    (try (param i32) (result i32 i32)
      (do (call_indirect (type $t) (i32.const 0)) (i32.const 1))
      (catch $e (call $triple (i32.const 2))))
    (local.set $a)
    (i32.mul (i32.const 10))
    (i32.add)
    (i32.add (local.get $a)))

  ;; Nobody catches it.
  (func (export "uncaught") (param i32) (result i32)
    (call $log (local.get 0))
    (try (do (call $raise (local.get 0))) (catch $none))
    (i32.const 0))

  ;; A trap is not caught.
  (func (export "trap") (param i32) (result i32)
    (try (result i32)
      (do (i32.div_u (call $triple (i32.const 1)) (local.get 0)))
      (catch_all (i32.const -1))))
  ;; An import throws.
  (func (export "host") (param i32) (result i32)
    (i32.add (i32.const 5)
      (try (result i32) (do (call $triple (local.get 0))) (catch $e)))))
