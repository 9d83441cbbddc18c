package stasis_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stasis-run/stasis"
)

// compiled is how many pieces of code a system has compiled itself once its guest has
// computed for a while, in which each of its loops has become worth it.
func (p *place) compiled(s *stasis.System) int64 {
	p.Helper()
	status := func() *stasis.Status {
		pr, err := s.Properties(p.ctx)
		p.must(err)
		if pr.Status == nil {
			p.Fatalf("state %s", pr.State)
		}
		return pr.Status
	}
	for first := status(); ; time.Sleep(10 * time.Millisecond) { // p.ctx has a deadline
		if now := status(); now.CPU-first.CPU > int64(300*time.Millisecond) {
			return now.Compiled
		}
	}
}

// A jailed process that wakes a computing guest compiles nothing, if the checkpoint
// has prepared it; if not, it compiles the loop, and each later one does again.
func TestPrepare(t *testing.T) {
	p := newPlace(t, stasis.Process)
	p.host.Cache, p.host.Jail = filepath.Join(t.TempDir(), "code"), stasis.JailOn
	s := p.run("a", "spin")
	if n := p.compiled(s); n != 0 {
		t.Errorf("never stopped: %d compiled", n)
	}
	image := func(dir string, prepare time.Duration) string {
		dir = filepath.Join(t.TempDir(), dir)
		_, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{Dir: dir, Leave: true, Prepare: prepare})
		p.must(err)
		return dir
	}
	woken := func(dir, name string) int64 {
		return p.compiled(p.with(p.host.Restore(p.ctx, dir, stasis.Options{Name: name})))
	}
	plain := image("plain", -1)
	for _, name := range []string{"b", "c"} {
		if n := woken(plain, name); n != 1 {
			t.Errorf("not prepared: %d compiled, want the loop", n)
		}
	}
	prepared := image("prepared", 30*time.Second)
	for _, name := range []string{"d", "e"} {
		if n := woken(prepared, name); n != 0 {
			t.Errorf("prepared: %d compiled", n)
		}
	}
	entries, err := p.host.CacheEntries(p.ctx)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	p.must(p.host.VerifyCache(p.ctx, entries[0]))
}
