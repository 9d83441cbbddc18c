;; A thread over the memory of holder.wat, with a global of its own.
(module
  (memory (import "holder" "mem") 1 16 shared)
  (global $look (export "look") (mut i32) (i32.const 0))
  (func (export "add") (param i32) ;; so many times, one more
    (loop $l
      (drop (i64.atomic.rmw.add (i32.const 8) (i64.const 1)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "waitlen") (result i32) ;; until the memory has grown to 5 pages or look is set
    (i32.atomic.store (i32.const 16) (i32.const 1))
    (loop $l
      (if (global.get $look) (then (return (i32.const -1))))
      (br_if $l (i32.lt_u (memory.size) (i32.const 5))))
    (i32.load (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4))))
  (func (export "load") (param i32) (result i32) (i32.atomic.load (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))
