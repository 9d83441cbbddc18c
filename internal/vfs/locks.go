package vfs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// LockType is what a lock keeps others from.
type LockType uint8

// The types of locks, of flock(2) and fcntl(2). The numbers are saved.
const (
	Unlock    LockType = iota
	ReadLock           // shared: others may have the same
	WriteLock          // exclusive
)

// maxLocks bounds the record locks of a system: ENOLCK.
const maxLocks = 1 << 18

// A Lock is a record lock of fcntl(2): of a part of a file, by a process.
type Lock struct {
	Type  LockType
	Start int64 // of the first byte
	End   int64 // of the last one; math.MaxInt64 is all that there will be
	PID   uint32
}

// Locks are the locks on the files of a Namespace. There are two sorts that do
// not see each other: those of flock(2) belong to an open file and go with it;
// record locks belong to a process, which is its fd table, and go when it closes
// any fd on the file.
//
// They are about files of mounts; what is in none cannot be locked (EINVAL).
// Other programs of the host do not see them.
//
// Lock order: Locks.mu is a leaf. Files are asked what they are without it.
type Locks struct {
	mu      sync.Mutex
	files   map[lockKey]*lockedFile         // protected by mu
	waiting map[*FDTable]map[*LockWait]bool // who waits for a record lock; protected by mu
	records int                             // protected by mu
}

// A lockKey is a file, however it was opened.
type lockKey struct {
	fs       FileSystem
	dev, ino uint64
}

// lockedFile is what is locked in a file.
type lockedFile struct {
	flocks  map[*OpenFile]LockType
	records []record // each owner's do not overlap
	waits   []*LockWait
}

// A record is a record lock.
type record struct {
	Lock
	owner *FDTable
}

// A LockWait waits until a lock can be had: a task waits for it with Register
// and Ready, and then tries again. It is closed in the end.
type LockWait struct {
	locks *Locks
	key   lockKey
	open  *OpenFile // of a flock
	want  record    // of a record lock; of a flock only Type counts
	woken atomic.Bool
	queue waiter.Queue
}

// lockKeyOf returns what f is locked as.
func lockKeyOf(f *OpenFile) (lockKey, abi.Errno) {
	if f.mount == nil {
		return lockKey{}, abi.EINVAL
	}
	st, errno := f.Stat()
	return lockKey{f.mount.FS, st.Dev, st.Ino}, errno
}

// at returns the locked file of k, and makes it if it is not there.
//
// Preconditions: l.mu is locked.
func (l *Locks) at(k lockKey) *lockedFile {
	f := l.files[k]
	if f == nil {
		if l.files == nil {
			l.files = make(map[lockKey]*lockedFile)
			l.waiting = make(map[*FDTable]map[*LockWait]bool)
		}
		f = &lockedFile{flocks: make(map[*OpenFile]LockType)}
		l.files[k] = f
	}
	return f
}

// settle wakes those who can have what they wait for, and forgets a file that
// has nothing any more.
//
// Preconditions: l.mu is locked.
func (l *Locks) settle(k lockKey, f *lockedFile) {
	for _, w := range f.waits {
		if !f.conflicts(w) {
			w.woken.Store(true)
			w.queue.Notify(waiter.In)
		}
	}
	if len(f.flocks) == 0 && len(f.records) == 0 && len(f.waits) == 0 {
		delete(l.files, k)
	}
}

// conflicts reports whether what w wants cannot be had now.
//
// Preconditions: Locks.mu is locked.
func (f *lockedFile) conflicts(w *LockWait) bool {
	if w.open != nil {
		return f.flockConflict(w.open, w.want.Type)
	}
	return f.recordConflict(w.want) != nil
}

// excludes reports whether two locks cannot be had at once.
func excludes(a, b LockType) bool {
	return a == WriteLock && b != Unlock || b == WriteLock && a != Unlock
}

func (f *lockedFile) flockConflict(open *OpenFile, typ LockType) bool {
	for other, have := range f.flocks {
		if other != open && excludes(have, typ) {
			return true
		}
	}
	return false
}

// recordConflict returns a lock of another owner that is in the way, or nil.
func (f *lockedFile) recordConflict(want record) *record {
	for i := range f.records {
		r := &f.records[i]
		if r.owner != want.owner && excludes(r.Type, want.Type) && r.Start <= want.End && want.Start <= r.End {
			return r
		}
	}
	return nil
}

// Flock is flock(2): it changes the lock that f has, or gives EAGAIN. As on
// Linux, what f had before is lost then.
func (f *OpenFile) Flock(typ LockType) abi.Errno {
	k, errno := lockKeyOf(f)
	if errno != abi.OK {
		return errno
	}
	if typ > WriteLock {
		return abi.EINVAL
	}
	l := &f.ns.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	lf := l.at(k)
	defer l.settle(k, lf)
	if lf.flocks[f] == typ {
		return abi.OK
	}
	delete(lf.flocks, f)
	f.flocked.Store(false)
	if typ == Unlock {
		return abi.OK
	}
	if lf.flockConflict(f, typ) {
		return abi.EAGAIN
	}
	lf.flocks[f] = typ
	f.flocked.Store(true)
	return abi.OK
}

// FlockWait returns what waits until Flock can succeed.
func (f *OpenFile) FlockWait(typ LockType) (*LockWait, abi.Errno) {
	k, errno := lockKeyOf(f)
	if errno != abi.OK {
		return nil, errno
	}
	w := &LockWait{locks: &f.ns.locks, key: k, open: f, want: record{Lock: Lock{Type: typ}}}
	w.locks.mu.Lock()
	defer w.locks.mu.Unlock()
	w.enter()
	return w, abi.OK
}

// dropFlock takes the lock of an open file that is being closed.
func (f *OpenFile) dropFlock() {
	if !f.flocked.Load() {
		return
	}
	if f.Flock(Unlock) == abi.OK {
		return
	}
	// It cannot be asked any more what it is, as a file of the host that has
	// gone: look for it.
	l := &f.ns.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, lf := range l.files {
		if _, ok := lf.flocks[f]; ok {
			delete(lf.flocks, f)
			l.settle(k, lf)
		}
	}
}

// LockRange makes a Lock's range of what fcntl(2) is given: from start, by
// whence, n bytes; 0 is all from there on, less is those before.
func (f *OpenFile) LockRange(whence abi.Whence, start, n int64) (first, last int64, errno abi.Errno) {
	var base int64
	switch whence {
	case abi.SeekSet:
	case abi.SeekCur:
		f.offsetMu.Lock()
		base = f.offset
		f.offsetMu.Unlock()
	case abi.SeekEnd:
		st, errno := f.Stat()
		if errno != abi.OK {
			return 0, 0, errno
		}
		base = int64(st.Size)
	default:
		return 0, 0, abi.EINVAL
	}
	if start > math.MaxInt64-base {
		return 0, 0, abi.EOVERFLOW
	}
	first = base + start
	switch {
	case n > 0 && first > math.MaxInt64-(n-1):
		return 0, 0, abi.EOVERFLOW
	case n > 0:
		last = first + n - 1
	case n == 0:
		last = math.MaxInt64
	default:
		last = first - 1
		first += n // n is negative: no overflow, as first is not above the largest
		if last < first {
			return 0, 0, abi.EINVAL
		}
	}
	if first < 0 {
		return 0, 0, abi.EINVAL
	}
	return first, last, abi.OK
}

// check refuses what f cannot have.
func (l Lock) check(f *OpenFile) abi.Errno {
	switch {
	case l.Type > WriteLock || l.Start < 0 || l.End < l.Start:
		return abi.EINVAL
	case l.Type == ReadLock && !f.read, l.Type == WriteLock && !f.write:
		return abi.EBADF
	}
	return abi.OK
}

// SetLock is fcntl(2)'s F_SETLK: the process of t takes the lock on f, or gives
// up what it has there; EAGAIN if another is in the way, ENOLCK if there are too
// many. The caller got f from t.
func (t *FDTable) SetLock(f *OpenFile, want Lock) abi.Errno {
	errno := t.setLock(f, want)
	if errno == abi.OK && want.Type != Unlock && !t.has(f) {
		t.dropRecords(f) // another task has closed it meanwhile, and looked for locks before
		return abi.EBADF
	}
	return errno
}

// has reports whether f is at an fd.
func (t *FDTable) has(f *OpenFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.fds, func(d descriptor) bool { return d.file == f })
}

func (t *FDTable) setLock(f *OpenFile, want Lock) abi.Errno {
	if errno := want.check(f); errno != abi.OK {
		return errno
	}
	k, errno := lockKeyOf(f)
	if errno != abi.OK {
		return errno
	}
	l := &f.ns.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	lf := l.at(k)
	defer l.settle(k, lf)
	r := record{want, t}
	if lf.recordConflict(r) != nil {
		return abi.EAGAIN
	}
	if want.Type != Unlock && l.records >= maxLocks {
		return abi.ENOLCK
	}
	l.replace(lf, r)
	return abi.OK
}

// replace puts r over what its owner has in its range, and joins it with what is
// beside it and of the same type. Unlock leaves nothing there.
//
// Preconditions: l.mu is locked, nobody else is in the way.
func (l *Locks) replace(f *lockedFile, r record) {
	var out []record
	for _, o := range f.records {
		if o.owner != r.owner {
			out = append(out, o)
			continue
		}
		beside := o.Type == r.Type && (r.Start > 0 && o.End == r.Start-1 || r.End < math.MaxInt64 && o.Start == r.End+1)
		switch overlaps := o.Start <= r.End && r.Start <= o.End; {
		case overlaps && o.Type == r.Type || beside:
			r.Start, r.End = min(r.Start, o.Start), max(r.End, o.End)
			continue
		case !overlaps:
			out = append(out, o)
			continue
		}
		if o.Start < r.Start {
			left := o
			left.End = r.Start - 1
			out = append(out, left)
		}
		if o.End > r.End {
			right := o
			right.Start = r.End + 1
			out = append(out, right)
		}
	}
	if r.Type != Unlock {
		out = append(out, r)
	}
	l.records += len(out) - len(f.records)
	r.owner.records.Add(int64(len(out) - len(f.records)))
	f.records = out
}

// GetLock is fcntl(2)'s F_GETLK: it returns a lock that keeps the process of t
// from having want, or one of type Unlock.
func (t *FDTable) GetLock(f *OpenFile, want Lock) (Lock, abi.Errno) {
	if want.Type == Unlock || want.Type > WriteLock || want.Start < 0 || want.End < want.Start {
		return Lock{}, abi.EINVAL
	}
	k, errno := lockKeyOf(f)
	if errno != abi.OK {
		return Lock{}, errno
	}
	l := &f.ns.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	if lf := l.files[k]; lf != nil {
		if r := lf.recordConflict(record{want, t}); r != nil {
			return r.Lock, abi.OK
		}
	}
	return Lock{}, abi.OK
}

// LockWait is the waiting of F_SETLKW: it returns what waits until SetLock can
// succeed, or EDEADLK if those who are in the way wait for t.
func (t *FDTable) LockWait(f *OpenFile, want Lock) (*LockWait, abi.Errno) {
	if errno := want.check(f); errno != abi.OK {
		return nil, errno
	}
	k, errno := lockKeyOf(f)
	if errno != abi.OK {
		return nil, errno
	}
	w := &LockWait{locks: &f.ns.locks, key: k, want: record{want, t}}
	l := w.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waitsFor(l.at(k), w.want, t, make(map[*FDTable]bool)) {
		l.settle(k, l.at(k))
		return nil, abi.EDEADLK
	}
	w.enter()
	return w, abi.OK
}

// waitsFor reports whether somebody who is in the way of want waits for a lock
// of t, directly or through others. A process that has several threads counts as
// waiting when one of them does, as on Linux.
//
// Preconditions: l.mu is locked.
func (l *Locks) waitsFor(f *lockedFile, want record, t *FDTable, seen map[*FDTable]bool) bool {
	for _, r := range f.records {
		if r.owner == want.owner || !excludes(r.Type, want.Type) || r.Start > want.End || want.Start > r.End {
			continue
		}
		if r.owner == t {
			return true
		}
		if seen[r.owner] {
			continue
		}
		seen[r.owner] = true
		for w := range l.waiting[r.owner] {
			if l.waitsFor(l.at(w.key), w.want, t, seen) {
				return true
			}
		}
	}
	return false
}

// enter makes w wait, unless what it wants can be had.
//
// Preconditions: Locks.mu is locked.
func (w *LockWait) enter() {
	l := w.locks
	f := l.at(w.key)
	f.waits = append(f.waits, w)
	if w.open == nil {
		if l.waiting[w.want.owner] == nil {
			l.waiting[w.want.owner] = make(map[*LockWait]bool)
		}
		l.waiting[w.want.owner][w] = true
	}
	w.woken.Store(!f.conflicts(w))
}

// Ready reports whether to try again.
func (w *LockWait) Ready() bool { return w.woken.Load() }

// Register has wake called when to try again, from now on. Cancel ends that.
func (w *LockWait) Register(wake func()) (cancel func()) {
	e := waiter.NewEntry(waiter.In, func(waiter.EventMask) { wake() })
	w.queue.Register(e)
	return func() { w.queue.Unregister(e) }
}

// Close ends the wait.
func (w *LockWait) Close() {
	l := w.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.at(w.key)
	for i, other := range f.waits {
		if other == w {
			f.waits = append(f.waits[:i:i], f.waits[i+1:]...)
			break
		}
	}
	if mine := l.waiting[w.want.owner]; mine[w] {
		if delete(mine, w); len(mine) == 0 {
			delete(l.waiting, w.want.owner)
		}
	}
	l.settle(w.key, f)
}

// dropRecords takes the process's locks on the file behind f, of which it closes
// an fd: POSIX has it so, also if others are open on it.
func (t *FDTable) dropRecords(f *OpenFile) {
	if t.records.Load() == 0 || f.ns == nil {
		return
	}
	k, errno := lockKeyOf(f)
	l := &f.ns.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	drop := func(k lockKey, lf *lockedFile) {
		l.replace(lf, record{Lock{Type: Unlock, End: math.MaxInt64}, t})
		l.settle(k, lf)
	}
	if errno == abi.OK {
		if lf := l.files[k]; lf != nil {
			drop(k, lf)
		}
		return
	}
	for k, lf := range l.files { // it cannot tell any more what it is
		drop(k, lf)
	}
}

// closed gives up what the process had through an fd on f: its locks, and the
// fd's reference.
func (t *FDTable) closed(f *OpenFile) {
	t.dropRecords(f)
	f.DecRef()
}

// LockState is a record lock.
type LockState struct {
	File  FileID   `pb:"1"` // one that is open at an fd of the process
	Type  LockType `pb:"2"` // 1 is shared, 2 exclusive
	Start int64    `pb:"3"` // of the first byte
	End   int64    `pb:"4"` // of the last one
	PID   uint32   `pb:"5"`
}

// saveLocks returns the process's record locks. Files are those of its table.
//
// Preconditions: t.mu is locked.
func (t *FDTable) saveLocks(s *Saver) (out []LockState) {
	if t.records.Load() == 0 {
		return nil
	}
	open := make(map[lockKey][]*OpenFile)
	for _, d := range t.fds {
		if d.file == nil || d.file.ns == nil {
			continue
		}
		if k, errno := lockKeyOf(d.file); errno == abi.OK {
			open[k] = append(open[k], d.file)
		}
	}
	for k, files := range open {
		l := &files[0].ns.locks
		l.mu.Lock()
		if f := l.files[k]; f != nil {
			for _, r := range f.records {
				if i := slices.IndexFunc(files, func(f *OpenFile) bool { return r.check(f) == abi.OK }); r.owner == t && i >= 0 {
					out = append(out, LockState{s.files[files[i]], r.Type, r.Start, r.End, r.PID})
				}
			}
		}
		l.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b LockState) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Start, b.Start))
	})
	return out
}

// restoreLock takes a lock again.
func (t *FDTable) restoreLock(st *LockState, r *Restorer) error {
	f, err := r.File(st.File)
	if err != nil {
		return err
	}
	defer f.DecRef()
	if st.Type == Unlock || !t.has(f) {
		return fmt.Errorf("lock of type %d, of a file that is not open: %w", st.Type, errBadState)
	}
	if errno := t.SetLock(f, Lock{st.Type, st.Start, st.End, st.PID}); errno != abi.OK {
		return fmt.Errorf("lock of %d to %d%s: %w: %w", st.Start, st.End, of(f.path), errno, errBadState)
	}
	return nil
}

// flock returns the lock of flock(2) that f has.
func (f *OpenFile) flock() LockType {
	if !f.flocked.Load() {
		return Unlock
	}
	k, errno := lockKeyOf(f)
	l := &f.ns.locks
	l.mu.Lock()
	defer l.mu.Unlock()
	if lf := l.files[k]; lf != nil && errno == abi.OK {
		return lf.flocks[f]
	}
	return Unlock
}
