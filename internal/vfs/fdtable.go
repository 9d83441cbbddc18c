package vfs

import (
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/abi"
)

// FD is a file descriptor's number. WASI's are unsigned.
type FD uint32

// MaxFDs is the most that the limit of an FDTable can be.
const MaxFDs = 1 << 20

// descriptor is what an fd refers to, and what belongs to the fd alone.
type descriptor struct {
	file       *OpenFile // counted; nil is a free fd
	base       abi.Rights
	inheriting abi.Rights
	preopen    string // what fd_prestat_dir_name tells; empty is not preopened
	cloexec    bool   // WASIX
}

// FDTable maps fds to open files. It may be shared by many tasks.
//
// Lock order: FDTable.mu is above OpenFile's and all below it. No file is
// closed with it held.
type FDTable struct {
	budget *Budget // of the system, in fds: a table takes as many as its highest fd asks for; immutable

	mu     sync.Mutex
	limit  int          // new fds get numbers below it; protected by mu
	fds    []descriptor // index is the fd; protected by mu
	lowest int          // no fd below it is free; protected by mu

	records atomic.Int64 // record locks of the process
}

// NewFDTable returns an empty table. Limit is RLIMIT_NOFILE, at most MaxFDs;
// fds get numbers below it, and calls give EMFILE when all are taken.
func NewFDTable(limit int) *FDTable { return NewFDTableIn(nil, limit) }

// NewFDTableIn is NewFDTable for a table that counts against the budget of its
// system: what does not fit gives ENFILE.
func NewFDTableIn(b *Budget, limit int) *FDTable {
	return &FDTable{budget: b, limit: min(max(limit, 0), MaxFDs)}
}

// Limit returns the number that new fds stay below: RLIMIT_NOFILE.
func (t *FDTable) Limit() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limit
}

// SetLimit is setrlimit with RLIMIT_NOFILE: it is about fds to come. Those that
// are open stay, also above it.
func (t *FDTable) SetLimit(limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = min(max(limit, 0), MaxFDs)
}

// Install puts f at the lowest free fd, with these rights cut to those that
// make sense for it. It takes over the caller's reference, also when it fails.
func (t *FDTable) Install(f *OpenFile, base, inheriting abi.Rights) (FD, abi.Errno) {
	return t.InstallFrom(0, f, base, inheriting, false)
}

// InstallAll is Install with every right that f can have.
func (t *FDTable) InstallAll(f *OpenFile) (FD, abi.Errno) {
	return t.Install(f, ^abi.Rights(0), ^abi.Rights(0))
}

// InstallFrom is Install at the lowest free fd that is at least from; cloexec
// is the new fd's.
func (t *FDTable) InstallFrom(from FD, f *OpenFile, base, inheriting abi.Rights, cloexec bool) (FD, abi.Errno) {
	maxBase, maxInheriting := f.Rights()
	return t.install(from, descriptor{file: f, base: base & maxBase, inheriting: inheriting & maxInheriting, cloexec: cloexec})
}

// Preopen puts the directory f at the lowest free fd as a preopen, with all
// rights. Name is the path that the guest knows it by; it is free text, "/" or
// "." for instance. It takes over the caller's reference.
func (t *FDTable) Preopen(f *OpenFile, name string) (FD, abi.Errno) {
	if _, ok := f.file.(Directory); !ok || name == "" || len(name) > MaxPath {
		f.DecRef()
		return 0, abi.ENOTDIR
	}
	base, inheriting := f.Rights()
	return t.install(0, descriptor{file: f, base: base, inheriting: inheriting, preopen: name})
}

// install puts d at the lowest free fd from on, and takes over its reference.
func (t *FDTable) install(from FD, d descriptor) (FD, abi.Errno) {
	t.mu.Lock()
	i := max(int(min(from, MaxFDs)), t.lowest)
	for i < len(t.fds) && t.fds[i].file != nil {
		i++
	}
	errno := abi.EMFILE
	if i < t.limit {
		errno = t.growLocked(i)
	}
	if errno != abi.OK {
		t.mu.Unlock()
		d.file.DecRef()
		return 0, errno
	}
	t.fds[i] = d
	if int(from) <= t.lowest {
		t.lowest = i + 1
	}
	t.mu.Unlock()
	return FD(i), abi.OK
}

// growLocked makes t.fds reach to index i, or returns ENFILE.
//
// Preconditions: t.mu is locked.
func (t *FDTable) growLocked(i int) abi.Errno {
	more := i + 1 - len(t.fds)
	if more <= 0 {
		return abi.OK
	}
	if !t.budget.Take(more) {
		return abi.ENFILE
	}
	t.fds = append(t.fds, make([]descriptor, more)...)
	return abi.OK
}

// lookupLocked returns the descriptor of fd, or EBADF.
//
// Preconditions: t.mu is locked.
func (t *FDTable) lookupLocked(fd FD) (*descriptor, abi.Errno) {
	if uint64(fd) >= uint64(len(t.fds)) || t.fds[fd].file == nil {
		return nil, abi.EBADF
	}
	return &t.fds[fd], abi.OK
}

// Get returns the open file at fd, with a reference that the caller gives
// back. The fd needs all of the rights in need, or it is ENOTCAPABLE; missing
// FD_READ and FD_WRITE are EBADF, as POSIX has it, and what has no position to
// seek says so by itself.
func (t *FDTable) Get(fd FD, need abi.Rights) (*OpenFile, abi.Errno) {
	f, _, errno := t.getInheriting(fd, need)
	return f, errno
}

func (t *FDTable) getInheriting(fd FD, need abi.Rights) (*OpenFile, abi.Rights, abi.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, errno := t.lookupLocked(fd)
	if errno != abi.OK {
		return nil, 0, errno
	}
	if !d.base.Has(need) {
		return nil, 0, d.refuse(need)
	}
	d.file.IncRef()
	return d.file, d.inheriting, abi.OK
}

// refuse returns the errno for a call that needs rights which d lacks. If that
// is so because of what the file is, the errno tells that, as Linux does.
func (d *descriptor) refuse(need abi.Rights) abi.Errno {
	missing := need &^ d.base
	_, dir := d.file.file.(Directory)
	_, regular := d.file.file.(Regular)
	const dirOnly = abi.RightsDir &^ abi.RightsFile &^ abi.RightsStream
	switch {
	case dir && missing&(abi.RightFDRead|abi.RightFDWrite|abi.RightFDSeek|abi.RightFDTell|
		abi.RightFDAllocate|abi.RightFDFilestatSetSize) != 0:
		return abi.EISDIR
	case !dir && missing&dirOnly != 0:
		return abi.ENOTDIR
	case missing&(abi.RightFDRead|abi.RightFDWrite) != 0:
		return abi.EBADF
	case !dir && !regular && missing&(abi.RightFDSeek|abi.RightFDTell) != 0:
		return abi.ESPIPE
	case !dir && !regular && missing&(abi.RightSockAccept|abi.RightSockShutdown) != 0:
		if _, errno := d.file.Socket(); errno == abi.ENOTSOCK {
			return errno
		}
	case missing&(abi.RightSockAccept|abi.RightSockShutdown) != 0:
		return abi.ENOTSOCK
	}
	return abi.ENOTCAPABLE
}

// Close frees fd. A file that no other fd and no call in progress holds is
// closed.
func (t *FDTable) Close(fd FD) abi.Errno {
	t.mu.Lock()
	d, errno := t.lookupLocked(fd)
	if errno != abi.OK {
		t.mu.Unlock()
		return errno
	}
	f := d.file
	*d = descriptor{}
	t.lowest = min(t.lowest, int(fd))
	t.mu.Unlock()
	t.closed(f)
	return abi.OK
}

// Renumber moves from over to, which must be open and is closed by it. Rights
// and a preopen's name move along.
func (t *FDTable) Renumber(from, to FD) abi.Errno {
	t.mu.Lock()
	src, errno := t.lookupLocked(from)
	if errno != abi.OK {
		t.mu.Unlock()
		return errno
	}
	dst, errno := t.lookupLocked(to)
	if errno != abi.OK || from == to {
		t.mu.Unlock()
		return errno
	}
	f := dst.file
	*dst, *src = *src, descriptor{}
	t.lowest = min(t.lowest, int(from))
	t.mu.Unlock()
	t.closed(f)
	return abi.OK
}

// Dup makes another fd of fd, the lowest free one from min on, with the same
// rights.
func (t *FDTable) Dup(fd, min FD, cloexec bool) (FD, abi.Errno) {
	t.mu.Lock()
	d, errno := t.lookupLocked(fd)
	if errno != abi.OK {
		t.mu.Unlock()
		return 0, errno
	}
	dup := *d
	dup.preopen, dup.cloexec = "", cloexec
	dup.file.IncRef()
	limit := t.limit
	t.mu.Unlock()
	if int64(min) >= int64(limit) {
		dup.file.DecRef()
		return 0, abi.EINVAL
	}
	return t.install(min, dup)
}

// CloseAll closes all fds: the process has ended.
func (t *FDTable) CloseAll() {
	t.mu.Lock()
	fds := t.fds
	t.fds, t.lowest = nil, 0
	t.mu.Unlock()
	t.budget.Give(len(fds))
	for _, d := range fds {
		if d.file != nil {
			t.closed(d.file)
		}
	}
}

// Len is how many fds are open.
func (t *FDTable) Len() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.fds {
		if d.file != nil {
			n++
		}
	}
	return n
}
