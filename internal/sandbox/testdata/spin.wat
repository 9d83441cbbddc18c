(module ;; loops for ever, and says nothing
  (memory (export "memory") 1)
  (func $spin (loop $again
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (br $again)))
  (func $main (export "_start") (call $spin)))
