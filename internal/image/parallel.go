package image

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxWorkers bounds the goroutines, and so the buffers, of one task: beyond
// four, memory is what they wait for.
const maxWorkers = 4

// parallel calls do for 0 to n-1 from a few goroutines. It returns once all
// have ended, with the error of the lowest number; after an error, higher
// numbers may not have been tried. Calls of the same worker do not overlap.
func parallel(n int, do func(worker, i int) error) error {
	workers := min(runtime.NumCPU(), maxWorkers, n)
	if workers <= 1 {
		for i := range n {
			if err := do(0, i); err != nil {
				return err
			}
		}
		return nil
	}
	var (
		next   atomic.Int64
		failed atomic.Bool
		wg     sync.WaitGroup
		mu     sync.Mutex
		at     = n   // of err; protected by mu
		first  error // protected by mu
	)
	for w := range workers {
		wg.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(w, i); err != nil {
					failed.Store(true)
					mu.Lock()
					if i < at {
						at, first = i, err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}
