(module ;; imports what there is not
  (import "nowhere" "x" (func))
  (func (export "_start")))
