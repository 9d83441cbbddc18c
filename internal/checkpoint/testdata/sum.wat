(module ;; sum(rounds): computes for a while, two calls deep
  (memory (export "memory") 1)
  (func $inner (param $n i64) (result i64)
    (local $x i64)
    (loop $again
      (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
      (i64.store (i32.const 64) (local.get $x))
      (br_if $again (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))
    (i64.xor (local.get $x) (i64.load (i32.const 64))))
  (func $sum (export "sum") (param $n i64) (result i64)
    (i64.add (i64.const 1) (i64.add (call $inner (local.get $n)) (i64.load (i32.const 64))))))
