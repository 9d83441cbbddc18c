;; What hot.cont.wat imports.
(module
  (memory (export "mem") 1 10)
  (table (export "tab") 2 funcref)
  (global $g (export "g") (mut i64) (i64.const 1))
  (elem (i32.const 1) $f)
  (func $f (result i32) (i32.load (i32.const 16)))
  (func (export "grow") (result i32) (i32.store (i32.const 16) (i32.const 5)) (memory.grow (i32.const 2)))
  (func (export "last") (result i32) (i32.load (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4))))
  (func (export "global") (result i64) (global.get $g)))
