(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "get" (func $get (param i32) (result i32)))
  (memory (export "memory") 1 100)
  (global $g (mut i64) (i64.const 5))
  (table 4 funcref)
  (elem (i32.const 0) $fib $double)
  (data (i32.const 8) "hello")
  (type $ii (func (param i32) (result i32)))
  (func $double (param i32) (result i32) local.get 0 local.get 0 i32.add)
  (func $fib (export "fib") (param i32) (result i32)
    local.get 0 i32.const 2 i32.lt_u
    if (result i32) local.get 0
    else
      local.get 0 i32.const 1 i32.sub call $fib
      local.get 0 i32.const 2 i32.sub call $fib
      i32.add
    end)
  (func $sum (export "sum") (param i64) (result i64) (local i64 f64 v128)
    (local.set 2 (f64.const 0.5))
    (local.set 3 (v128.const i32x4 1 2 3 4))
    loop $l
      local.get 1 local.get 0 i64.add local.set 1
      local.get 2 f64.const 1.25 f64.add local.set 2
      local.get 3 local.get 3 i32x4.add local.set 3
      local.get 0 i64.const 1 i64.sub local.tee 0 i64.eqz i32.eqz
      br_if $l
    end
    local.get 1
    local.get 2 i64.trunc_f64_s i64.add
    local.get 3 i64x2.extract_lane 1 i64.add)
  (func (export "spin") (param i32) (result i32) (local i32)
    loop $l
      local.get 1 local.get 0 i32.const 7 i32.mul i32.xor local.set 1
      local.get 0 i32.const 1 i32.sub local.tee 0 br_if $l
    end
    local.get 1)
  (func $nest (export "nest") (param i32) (result i32) (local i32 i32 i32)
    loop $a
      i32.const 0 local.set 2
      loop $b
        local.get 3
        local.get 2 i32.const 1 call_indirect (type $ii)
        local.get 1 call $get
        i32.add i32.add local.set 3
        local.get 3 call $log
        local.get 2 i32.const 1 i32.add local.tee 2
        i32.const 3 i32.lt_u br_if $b
      end
      local.get 1 i32.const 1 i32.add local.tee 1
      local.get 0 i32.lt_u br_if $a
    end
    local.get 3)
  (func $deep (export "deep") (param i32) (result i32)
    local.get 0 i32.eqz if (result i32) i32.const 0
    else local.get 0 i32.const 1 i32.sub call $deep i32.const 1 i32.add end)
  (func (export "fill") (param i32) (result i32)
    i32.const 100 i32.const 7 local.get 0 memory.fill
    i32.const 200 i32.const 100 local.get 0 memory.copy
    i32.const 150 i32.const 180 local.get 0 memory.copy
    i32.const 1000 i32.load8_u)
  (func (export "trap") (param i32) (result i32)
    local.get 0 call $get
    i32.load offset=1000000)
)
