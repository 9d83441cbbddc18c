package vfs

import "github.com/stasis-run/stasis/internal/abi"

// Clone returns a copy of the table, as fork makes one: the fds are the
// copy's own, the open files behind them are shared, with their offsets; record
// locks stay with the original. It
// fails with ENFILE, as a system call of the parent's.
func (t *FDTable) Clone() (*FDTable, abi.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.fds)
	for n > 0 && t.fds[n-1].file == nil {
		n--
	}
	if !t.budget.Take(n) {
		return nil, abi.ENFILE
	}
	c := &FDTable{budget: t.budget, limit: t.limit, lowest: min(t.lowest, n), fds: make([]descriptor, n)}
	copy(c.fds, t.fds)
	for i := range c.fds {
		if f := c.fds[i].file; f != nil {
			f.IncRef()
		}
	}
	return c, abi.OK
}

// CloseOnExec closes the fds that an exec closes. The caller has seen to it
// that no other task uses the table any more.
func (t *FDTable) CloseOnExec() {
	var gone []*OpenFile
	t.mu.Lock()
	for i := range t.fds {
		if d := &t.fds[i]; d.file != nil && d.cloexec {
			gone = append(gone, d.file)
			*d = descriptor{}
			t.lowest = min(t.lowest, i)
		}
	}
	t.mu.Unlock()
	for _, f := range gone {
		t.closed(f)
	}
}

// Dup2 makes the fd to another one of from, with the same rights; what was
// open at to is closed in the same step. If both are the same, nothing is done,
// also to cloexec. A number that is not below the limit is EBADF.
func (t *FDTable) Dup2(from, to FD, cloexec bool) abi.Errno {
	t.mu.Lock()
	src, errno := t.lookupLocked(from)
	switch {
	case errno != abi.OK:
	case int64(to) >= int64(t.limit):
		errno = abi.EBADF
	case from == to:
		t.mu.Unlock()
		return abi.OK
	}
	if errno != abi.OK {
		t.mu.Unlock()
		return errno
	}
	d := *src
	if errno := t.growLocked(int(to)); errno != abi.OK {
		t.mu.Unlock()
		return errno
	}
	d.preopen, d.cloexec = "", cloexec
	d.file.IncRef()
	old := t.fds[to].file
	t.fds[to] = d
	if int(to) == t.lowest {
		t.lowest++
	}
	t.mu.Unlock()
	if old != nil {
		t.closed(old)
	}
	return abi.OK
}

// An FDInfo is what is told of an fd, for /proc.
type FDInfo struct {
	FD      FD
	Cloexec bool
	File    *OpenFile // without a reference: for its Path and File only
}

// List returns the open fds in order.
func (t *FDTable) List() []FDInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []FDInfo
	for i, d := range t.fds {
		if d.file != nil {
			out = append(out, FDInfo{FD(i), d.cloexec, d.file})
		}
	}
	return out
}
