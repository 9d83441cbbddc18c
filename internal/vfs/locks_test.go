package vfs_test

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
)

// opened opens a file in table and returns it, which the table keeps.
func opened(t testing.TB, ns *vfs.Namespace, table *vfs.FDTable, root vfs.FD, p string) (vfs.FD, *vfs.OpenFile) {
	t.Helper()
	fd, errno := table.PathOpen(ns, root, 0, p, abi.OCreat, abi.RightsFile, 0, 0)
	if errno != abi.OK {
		t.Fatalf("open %s: %v", p, errno)
	}
	f, _ := table.Get(fd, 0)
	f.DecRef()
	return fd, f
}

func rangeLock(typ vfs.LockType, start, end int64) vfs.Lock {
	return vfs.Lock{Type: typ, Start: start, End: end, PID: 5}
}

func all(typ vfs.LockType) vfs.Lock { return rangeLock(typ, 0, math.MaxInt64) }

// Locks of flock belong to the open file, whoever has it.
func TestFlock(t *testing.T) {
	_, ns, table := newTree(t)
	fd, f := opened(t, ns, table, 0, "f")
	_, g := opened(t, ns, table, 0, "f")
	_, other := opened(t, ns, table, 0, "other")
	want(t, "exclusive", f.Flock(vfs.WriteLock), abi.OK)
	want(t, "again", f.Flock(vfs.WriteLock), abi.OK)
	want(t, "another open file", g.Flock(vfs.ReadLock), abi.EAGAIN)
	want(t, "another file", other.Flock(vfs.WriteLock), abi.OK)
	want(t, "shared", f.Flock(vfs.ReadLock), abi.OK)
	want(t, "both shared", g.Flock(vfs.ReadLock), abi.OK)
	want(t, "not both exclusive", f.Flock(vfs.WriteLock), abi.EAGAIN)
	want(t, "the shared one is lost then", g.Flock(vfs.WriteLock), abi.OK)
	want(t, "unlock", g.Flock(vfs.Unlock), abi.OK)
	want(t, "records are another thing", table.SetLock(g, all(vfs.WriteLock)), abi.OK)
	want(t, "exclusive", f.Flock(vfs.WriteLock), abi.OK)
	want(t, "no such lock", f.Flock(3), abi.EINVAL)
	child, _ := table.Clone()
	table.Close(fd)
	want(t, "the child has it", g.Flock(vfs.ReadLock), abi.EAGAIN)
	child.CloseAll()
	want(t, "nobody has it", g.Flock(vfs.ReadLock), abi.OK)
	r, w, _ := pipefs.NewSystem(now, nil).New()
	want(t, "a pipe", r.Flock(vfs.ReadLock), abi.EINVAL)
	r.DecRef()
	w.DecRef()
	table.CloseAll()
}

// Record locks belong to the process, which loses them with any fd on the file.
func TestRecordLocks(t *testing.T) {
	_, ns, one := newTree(t)
	fd, f := opened(t, ns, one, 0, "f")
	two, errno := one.Clone()
	want(t, "clone", errno, abi.OK)
	want(t, "lock", one.SetLock(f, rangeLock(vfs.WriteLock, 10, 19)), abi.OK)
	want(t, "the child has none", two.SetLock(f, rangeLock(vfs.ReadLock, 19, 30)), abi.EAGAIN)
	l, errno := two.GetLock(f, all(vfs.ReadLock))
	want(t, "who has it", l, vfs.Lock{Type: vfs.WriteLock, Start: 10, End: 19, PID: 5})
	want(t, "who has it", errno, abi.OK)
	l, _ = one.GetLock(f, all(vfs.WriteLock))
	want(t, "one's own is not in the way", l.Type, vfs.Unlock)
	want(t, "beside it", two.SetLock(f, rangeLock(vfs.WriteLock, 20, 30)), abi.OK)
	want(t, "beside it", two.SetLock(f, rangeLock(vfs.ReadLock, 0, 9)), abi.OK)
	want(t, "shared", one.SetLock(f, rangeLock(vfs.ReadLock, 0, 5)), abi.OK)
	want(t, "upgrade", one.SetLock(f, rangeLock(vfs.WriteLock, 0, 5)), abi.EAGAIN)
	_, g := opened(t, ns, one, 0, "f") // another fd
	want(t, "by another fd", one.SetLock(g, rangeLock(vfs.Unlock, 12, 15)), abi.OK)
	want(t, "in the hole", two.SetLock(f, rangeLock(vfs.WriteLock, 12, 15)), abi.OK)
	want(t, "its edge", two.SetLock(f, rangeLock(vfs.WriteLock, 12, 16)), abi.EAGAIN)
	dup, _ := one.Dup(fd, 0, false)
	want(t, "close a duplicate", one.Close(dup), abi.OK)
	want(t, "all are gone", two.SetLock(f, all(vfs.WriteLock)), abi.OK)
	want(t, "not the child's", one.SetLock(f, rangeLock(vfs.ReadLock, 0, 0)), abi.EAGAIN)
	two.CloseAll()
	want(t, "the child has ended", one.SetLock(f, all(vfs.ReadLock)), abi.OK)

	ro, errno := one.PathOpen(ns, 0, 0, "f", 0, abi.RightFDRead, 0, 0)
	want(t, "open", errno, abi.OK)
	r, _ := one.Get(ro, 0)
	want(t, "exclusive without writing", one.SetLock(r, all(vfs.WriteLock)), abi.EBADF)
	want(t, "negative", one.SetLock(f, rangeLock(vfs.ReadLock, -1, 4)), abi.EINVAL)
	want(t, "backwards", one.SetLock(f, rangeLock(vfs.ReadLock, 5, 4)), abi.EINVAL)
	_, errno = one.GetLock(f, all(vfs.Unlock))
	want(t, "who keeps me from unlocking", errno, abi.EINVAL)
	one.Close(ro)
	want(t, "of what was closed meanwhile", one.SetLock(r, all(vfs.ReadLock)), abi.EBADF)
	r.DecRef()
	one.CloseAll()
}

func TestLockRange(t *testing.T) {
	_, ns, table := newTree(t)
	_, f := opened(t, ns, table, 0, "f")
	f.Write([][]byte{make([]byte, 100)})
	f.Lseek(40, abi.SeekSet)
	for _, c := range []struct {
		whence      abi.Whence
		start, n    int64
		first, last int64
		errno       abi.Errno
	}{
		{abi.SeekSet, 5, 10, 5, 14, abi.OK},
		{abi.SeekSet, 5, 0, 5, math.MaxInt64, abi.OK},
		{abi.SeekCur, -10, 5, 30, 34, abi.OK},
		{abi.SeekEnd, 0, -30, 70, 99, abi.OK},
		{abi.SeekEnd, -100, -1, 0, 0, abi.EINVAL},
		{abi.SeekSet, -1, 5, 0, 0, abi.EINVAL},
		{abi.SeekSet, 0, math.MinInt64, 0, 0, abi.EINVAL},
		{abi.SeekSet, math.MaxInt64, 1, math.MaxInt64, math.MaxInt64, abi.OK},
		{abi.SeekSet, math.MaxInt64, 2, 0, 0, abi.EOVERFLOW},
		{abi.SeekEnd, math.MaxInt64, 1, 0, 0, abi.EOVERFLOW},
		{abi.SeekCur, math.MinInt64, 1, 0, 0, abi.EINVAL},
		{3, 0, 1, 0, 0, abi.EINVAL},
	} {
		first, last, errno := f.LockRange(c.whence, c.start, c.n)
		if errno != c.errno || errno == abi.OK && (first != c.first || last != c.last) {
			t.Errorf("%+v: %d to %d, %v", c, first, last, errno)
		}
	}
	table.CloseAll()
}

// Two who would wait for each other, also in a ring of three, are told.
func TestDeadlock(t *testing.T) {
	_, ns, base := newTree(t)
	_, f := opened(t, ns, base, 0, "f")
	var tables []*vfs.FDTable
	for i := range 3 {
		c, _ := base.Clone()
		tables = append(tables, c)
		want(t, "lock", c.SetLock(f, rangeLock(vfs.WriteLock, int64(i), int64(i))), abi.OK)
	}
	wait := func(i, at int) (*vfs.LockWait, abi.Errno) {
		return tables[i].LockWait(f, rangeLock(vfs.ReadLock, int64(at), int64(at)))
	}
	w0, errno := wait(0, 1)
	want(t, "first", errno, abi.OK)
	w1, errno := wait(1, 2)
	want(t, "second", errno, abi.OK)
	_, errno = wait(2, 0)
	want(t, "the ring", errno, abi.EDEADLK)
	_, errno = wait(1, 0)
	want(t, "the other one", errno, abi.EDEADLK)
	want(t, "not yet", w0.Ready() || w1.Ready(), false)
	tables[2].CloseAll()
	want(t, "the end of one lets another go", w1.Ready(), true)
	w1.Close()
	_, errno = wait(1, 0)
	want(t, "it waits no more, and may not wait for who waits for it", errno, abi.EDEADLK)
	w0.Close()
	w1, errno = wait(1, 0)
	want(t, "nobody waits", errno, abi.OK)
	w1.Close()
	for _, c := range tables[:2] {
		c.CloseAll()
	}
	base.CloseAll()
}

// Many processes count up one file under locks of either sort: nobody is lost,
// and nobody sees another.
func TestLockWaits(t *testing.T) {
	for _, flock := range []bool{true, false} {
		_, ns, base := newTree(t)
		count := 0 // protected by the lock
		const processes, rounds = 6, 100
		var wg sync.WaitGroup
		for range processes {
			table, _ := base.Clone()
			_, f := opened(t, ns, table, 0, "f")
			wg.Go(func() {
				defer table.CloseAll()
				for range rounds {
					for {
						var errno abi.Errno
						if flock {
							errno = f.Flock(vfs.WriteLock)
						} else {
							errno = table.SetLock(f, all(vfs.WriteLock))
						}
						if errno == abi.OK {
							break
						}
						var w *vfs.LockWait
						if flock {
							w, errno = f.FlockWait(vfs.WriteLock)
						} else {
							w, errno = table.LockWait(f, all(vfs.WriteLock))
						}
						if errno != abi.OK {
							t.Error(errno)
							return
						}
						wake := make(chan struct{}, 1)
						cancel := w.Register(func() {
							select {
							case wake <- struct{}{}:
							default:
							}
						})
						for !w.Ready() {
							<-wake
						}
						cancel()
						w.Close()
					}
					count++
					if flock {
						f.Flock(vfs.Unlock)
					} else {
						table.SetLock(f, all(vfs.Unlock))
					}
				}
			})
		}
		wg.Wait()
		want(t, "counted", count, processes*rounds)
		base.CloseAll()
	}
}

// lockImage is two processes with locks.
type lockImage struct {
	VFS vfs.State        `pb:"1"`
	One vfs.FDTableState `pb:"2"`
	Two vfs.FDTableState `pb:"3"`
	Mem memfs.State      `pb:"4"`
}

func (img *lockImage) restore(t *testing.T) (ns *vfs.Namespace, one, two *vfs.FDTable, err error) {
	t.Helper()
	b, err := protostruct.Marshal(img)
	if err != nil {
		t.Fatal(err)
	}
	var again lockImage
	if err := protostruct.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	fs, err := memfs.Restore(&again.Mem, memfs.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ns = vfs.NewNamespace(now)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		t.Fatal(err)
	}
	r, err := vfs.NewRestorer(&again.VFS, ns, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if one, err = vfs.RestoreFDTable(&again.One, r); err != nil {
		return ns, nil, nil, err
	}
	two, err = vfs.RestoreFDTable(&again.Two, r)
	return ns, one, two, err
}

func TestRestoreLocks(t *testing.T) {
	fs, ns, one := newTree(t)
	fd, f := opened(t, ns, one, 0, "f")
	two, _ := one.Clone()
	gfd, g := opened(t, ns, two, 0, "f")
	want(t, "flock", f.Flock(vfs.ReadLock), abi.OK)
	want(t, "flock", g.Flock(vfs.ReadLock), abi.OK)
	want(t, "lock", one.SetLock(f, rangeLock(vfs.WriteLock, 0, 9)), abi.OK)
	want(t, "lock", one.SetLock(f, rangeLock(vfs.ReadLock, 10, 19)), abi.OK)
	want(t, "lock", two.SetLock(g, rangeLock(vfs.ReadLock, 10, math.MaxInt64)), abi.OK)
	ns.UnlinkAt(f, "f") // not below a file
	s := vfs.NewSaver(ns)
	st1, err1 := one.Save(s)
	st2, err2 := two.Save(s)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	img := &lockImage{VFS: *s.State(), One: *st1, Two: *st2, Mem: *fs.Save()}
	one.CloseAll()
	two.CloseAll()

	_, one, two, err := img.restore(t)
	if err != nil {
		t.Fatal(err)
	}
	f, _ = one.Get(fd, 0)
	g, _ = two.Get(gfd, 0)
	want(t, "flock", f.Flock(vfs.WriteLock), abi.EAGAIN)
	l, _ := two.GetLock(g, rangeLock(vfs.ReadLock, 5, 30))
	want(t, "of the first", l, rangeLock(vfs.WriteLock, 0, 9))
	l, _ = one.GetLock(f, rangeLock(vfs.WriteLock, 50, 50))
	want(t, "of the second", l, rangeLock(vfs.ReadLock, 10, math.MaxInt64))
	f.DecRef()
	one.CloseAll()
	want(t, "they go with the process", two.SetLock(g, all(vfs.WriteLock)), abi.OK)
	g.DecRef()
	two.CloseAll()

	object := img.VFS.Files[1].Object
	for name, c := range map[string]struct {
		change func(*lockImage)
		text   string
	}{
		"both exclusive": {func(i *lockImage) { i.VFS.Files[1].Flock = vfs.WriteLock }, "lock of type"},
		"no such flock":  {func(i *lockImage) { i.VFS.Files[1].Flock = 9 }, "lock of type 9"},
		"overlap":        {func(i *lockImage) { i.Two.Locks[0].Start = 0 }, abi.EAGAIN.Error()},
		"no type":        {func(i *lockImage) { i.One.Locks[0].Type = 0 }, "lock of type 0"},
		"bad type":       {func(i *lockImage) { i.One.Locks[0].Type = 3 }, abi.EINVAL.Error()},
		"backwards":      {func(i *lockImage) { i.One.Locks[0].End = -1 }, abi.EINVAL.Error()},
		"no file":        {func(i *lockImage) { i.One.Locks[0].File = 99 }, "open file 99"},
		"another's file": {func(i *lockImage) { i.One.Locks[0].File = 2 }, "not open"},
		"of no mount": {func(i *lockImage) {
			i.VFS.Files[1] = vfs.FileState{Object: object, Flock: vfs.ReadLock}
		}, "not known"},
	} {
		bad := *img
		bad.VFS.Files = append([]vfs.FileState(nil), img.VFS.Files...)
		bad.One.Locks = append([]vfs.LockState(nil), img.One.Locks...)
		bad.Two.Locks = append([]vfs.LockState(nil), img.Two.Locks...)
		c.change(&bad)
		if _, _, _, err := bad.restore(t); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", name, err, c.text)
		}
	}
}
