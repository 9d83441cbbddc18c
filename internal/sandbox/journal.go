package sandbox

import (
	"os"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/store"
)

// A journal notes each checkpoint's begin and outcome.
type journal struct {
	mu sync.Mutex
	f  *os.File // nil: nowhere; protected by mu
}

func (j *journal) begin(n uint64, generation, path string) {
	j.note(store.Attempt{Number: n, Generation: generation, Image: path, Time: time.Now()})
}

func (j *journal) end(n uint64, generation, path string, st control.Stats, err error) {
	a := store.Attempt{Number: n, Generation: generation, Image: path, Time: time.Now(), Outcome: store.Done, Stats: &st}
	if err != nil {
		a.Outcome, a.Error, a.Stats = store.Failed, err.Error(), nil
	}
	j.note(a)
}

// note adds a line. That it cannot is no reason to fail a checkpoint: whoever
// asks then finds that its outcome is unknown.
func (j *journal) note(a store.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f != nil {
		_ = store.AppendAttempt(j.f, a)
	}
}
