package instrument

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/wasm"
)

// maxBatch is how many functions a worker takes at once, at most.
const maxBatch = 16

// forEach calls f for each of n functions from several goroutines, each of which
// has what worker makes for it. They are begun in order. The error is that of the
// first function that has one, whoever comes to it when.
func forEach[W any](workers, n int, worker func() W, f func(w W, i int) error) error {
	workers = min(workers, n)
	if workers <= 1 {
		w := worker()
		for i := range n {
			if err := f(w, i); err != nil {
				return err
			}
		}
		return nil
	}
	batch := max(1, min(maxBatch, n/(8*workers)))
	var next, failed atomic.Int64
	failed.Store(int64(n)) // the first function that has failed, or n
	var mu sync.Mutex
	var first error // of function failed; protected by mu
	fail := func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if int64(i) < failed.Load() {
			failed.Store(int64(i))
			first = err
		}
	}
	var wg sync.WaitGroup
	for range workers {
		w := worker()
		wg.Go(func() {
			for {
				from := int(next.Add(int64(batch))) - batch
				if from >= n {
					return
				}
				for i := from; i < min(from+batch, n); i++ {
					if int64(i) > failed.Load() {
						return
					}
					if err := f(w, i); err != nil {
						fail(i, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return first
}

// surveyor is a Program for one worker of the survey: what it notes of the module
// is its own, until join.
func (p *Program) surveyor() *Program {
	return &Program{mod: p.mod, opts: p.opts, imports: p.imports, spaces: p.spaces, taken: make([]bool, len(p.taken))}
}

// join adds what a surveyor has noted. All of it is a set, so that the order of
// joins does not matter.
func (p *Program) join(s *Program) {
	for i, n := range s.needs {
		p.needs[i] = p.needs[i] || n
	}
	for i, t := range s.taken {
		p.taken[i] = p.taken[i] || t
	}
	p.segments = p.segments || s.segments
	p.funcTable = p.funcTable || s.funcTable
}

// A hotWorker emits functions of the hot form beside others. It is an env whose
// module is not changed: it notes what is missing there, and the function is
// emitted again when that has been added. What is added, and in which order, does
// not depend on how many workers there are.
type hotWorker struct {
	*hotModule
	reader  reader
	body    body
	emitter emitter
	missing []func() // additions to the module
}

func (w *hotWorker) hiddenType(orig uint32) uint32 {
	if i := w.hidden[orig]; i >= 0 {
		return uint32(i)
	}
	w.missing = append(w.missing, func() { w.hotModule.hiddenType(orig) })
	return 0
}

func (w *hotWorker) blockType(params, results []wasm.ValType) uint32 {
	params, results = loweredAll(params), loweredAll(results)
	if i, ok := w.at[typeKey(params, results)]; ok {
		return i
	}
	w.missing = append(w.missing, func() { w.index(params, results) })
	return 0
}

func (w *hotWorker) helper(k helperKey) uint32 {
	if i, ok := w.helpers[k]; ok {
		return i
	}
	w.missing = append(w.missing, func() { w.hotModule.helper(k) })
	return 0
}

// emitAll emits all functions.
func (h *hotModule) emitAll() error {
	if h.p.needs[runtimeBulk] { // many functions would ask
		h.helper(helperKey{op: wasm.OpMemoryCopy})
		h.helper(helperKey{op: wasm.OpMemoryFill})
	}
	n := len(h.p.mod.Code)
	todo := make([]int, n)
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		h.values.Store(0)
		missing := make([][]func(), len(todo))
		err := forEach(h.p.opts.Workers, len(todo), func() *hotWorker {
			return &hotWorker{hotModule: h, reader: reader{p: h.p}}
		}, func(w *hotWorker, k int) error {
			if err := w.reader.analyse(uint32(todo[k]), &w.body); err != nil {
				return err
			}
			if h.values.Add(int64(w.body.countValues())) > maxProgramValues {
				return fmt.Errorf("more than %d values live at the calls and loops of the module, all counted: %w", maxProgramValues, ErrUnsupported)
			}
			w.missing = nil
			h.out.Code[todo[k]] = h.emit(&w.emitter, w, &w.body)
			missing[k] = w.missing
			return nil
		})
		if err != nil {
			return err
		}
		again := todo[:0]
		for k, add := range missing {
			for _, f := range add {
				f()
			}
			if len(add) > 0 {
				again = append(again, todo[k])
			}
		}
		todo = again
	}
	return nil
}
