;; What threads cost: see threads.go. Word 0 is whose turn it is, word 8 that the
;; thread has ended.
(module
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (memory (export "memory") 1 1 shared)

  ;; Adds 1 to word 64, n times.
  (func (export "add") (param $n i32) (result i32)
    (loop $again
      (drop (i32.atomic.rmw.add (i32.const 64) (i32.const 1)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0))

  ;; The same with loads and stores that are not atomic.
  (func (export "plain") (param $n i32) (result i32)
    (loop $again
      (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0))

  ;; One of two who wait for each other, n times.
  (func $side (export "side") (param $me i32) (param $n i32)
    (loop $again
      (block $mine
        (loop $wait
          (br_if $mine (i32.eq (i32.atomic.load (i32.const 0)) (local.get $me)))
          (drop (memory.atomic.wait32 (i32.const 0) (i32.sub (i32.const 1) (local.get $me)) (i64.const -1)))
          (br $wait)))
      (i32.atomic.store (i32.const 0) (i32.sub (i32.const 1) (local.get $me)))
      (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))

  ;; A thread plays its side, if it is given rounds, and says that it has ended.
  (func (export "wasi_thread_start") (param $id i32) (param $rounds i32)
    (if (local.get $rounds) (then (call $side (i32.const 1) (local.get $rounds))))
    (i32.atomic.store (i32.const 8) (i32.const 1))
    (drop (memory.atomic.notify (i32.const 8) (i32.const 1))))

  (func $join
    (block $ended
      (loop $wait
        (br_if $ended (i32.atomic.load (i32.const 8)))
        (drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1)))
        (br $wait))))

  (func (export "pingpong") (param $n i32)
    (if (i32.le_s (call $spawn (local.get $n)) (i32.const 0)) (then unreachable))
    (call $side (i32.const 0) (local.get $n))
    (call $join))

  ;; Makes a thread and waits for its end, n times.
  (func (export "spawns") (param $n i32)
    (loop $again
      (i32.atomic.store (i32.const 8) (i32.const 0))
      (if (i32.le_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))
      (call $join)
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
