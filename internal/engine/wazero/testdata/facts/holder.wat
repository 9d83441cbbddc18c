;; A memory that sharer.wat imports.
(module (memory (export "mem") 1 16 shared))
