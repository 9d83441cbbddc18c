package vfs

import (
	"slices"
	"sync"
)

// A CloseWatcher is told when the last reference to an open file has gone. It is
// how a set of epoll forgets a file, which it does not hold.
type CloseWatcher interface {
	// OpenFileClosed is called before the file behind f is closed, which waits
	// for it. No lock of the vfs is held.
	OpenFileClosed(f *OpenFile)
}

// closeWatchers are those of an open file; the zero value has none.
type closeWatchers struct {
	mu   sync.Mutex
	list []CloseWatcher // protected by mu
}

// AddCloseWatcher makes w be told when f is closed. The caller has a reference
// to f. What is added twice is told twice.
func (f *OpenFile) AddCloseWatcher(w CloseWatcher) {
	f.watchers.mu.Lock()
	defer f.watchers.mu.Unlock()
	f.watchers.list = append(f.watchers.list, w)
}

// RemoveCloseWatcher undoes one AddCloseWatcher. It may come too late: w may be
// told of f when it returns.
func (f *OpenFile) RemoveCloseWatcher(w CloseWatcher) {
	f.watchers.mu.Lock()
	defer f.watchers.mu.Unlock()
	if i := slices.Index(f.watchers.list, w); i >= 0 {
		f.watchers.list = slices.Delete(f.watchers.list, i, i+1)
	}
}

// tell tells all.
func (c *closeWatchers) tell(f *OpenFile) {
	c.mu.Lock()
	list := slices.Clone(c.list)
	c.mu.Unlock()
	for _, w := range list {
		w.OpenFileClosed(f)
	}
}
