package store

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tempPrefix begins the names of directories that are being made or removed.
const tempPrefix = ".tmp-"

// abandoned is how old must be what somebody left who may still be at it.
const abandoned = time.Minute

// Sweep removes what processes left that were killed, and systems that were to
// go when they had ended.
func (s *Store) Sweep() {
	entries, _ := os.ReadDir(s.systems())
	live := make(map[string]bool)
	for _, d := range entries {
		e := &Entry{store: s, dir: s.path(d.Name())}
		switch {
		case strings.HasPrefix(d.Name(), tempPrefix):
			e.sweepTemp()
		case d.IsDir():
			if id := e.sweepEnded(); id != "" {
				live[id] = true
			}
		}
	}
	s.sweepSockets(live)
	s.sweepClaims()
}

func (e *Entry) sweepTemp() {
	st, err := os.Lstat(e.dir)
	if err == nil && time.Since(st.ModTime()) > abandoned && !e.Running() {
		_ = os.RemoveAll(e.dir) // or the next one does it
	}
}

// sweepEnded removes the system if it is to go; else it returns its id.
func (e *Entry) sweepEnded() string {
	sys, err := e.System()
	if err != nil {
		return ""
	}
	if !sys.Spec.AutoRemove || e.Running() {
		return sys.ID
	}
	if _, err := e.LastRun(); err != nil {
		return sys.ID // it has not run yet
	}
	if e.Hold() == nil {
		_ = e.Remove() // or the next one does it
	}
	return ""
}

// sweepSockets removes sockets of systems that are gone.
func (s *Store) sweepSockets(live map[string]bool) {
	socks, _ := filepath.Glob(filepath.Join(s.run, "*.sock"))
	for _, p := range socks {
		st, err := os.Lstat(p)
		if err == nil && !live[strings.TrimSuffix(filepath.Base(p), ".sock")] && time.Since(st.ModTime()) > abandoned {
			_ = os.Remove(p) // the same
		}
	}
}
