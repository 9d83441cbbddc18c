package epoll_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/waiter"
)

func now() int64 { return 1_700_000_000e9 }

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func newSet(t *testing.T) (*epoll.Set, *vfs.OpenFile) {
	t.Helper()
	f := epoll.NewSystem(nil).New()
	e, errno := epoll.Of(f)
	want(t, "set", errno, abi.OK)
	return e, f
}

// count adds n to an eventfd.
func count(f *vfs.OpenFile, n uint64) {
	f.Write([][]byte{binary.LittleEndian.AppendUint64(nil, n)})
}

// drain reads an eventfd.
func drain(f *vfs.OpenFile) { f.Read([][]byte{make([]byte, 8)}) }

// wantEvents checks what e tells: data of the events, in order.
func wantEvents(t *testing.T, what string, e *epoll.Set, max int, data ...uint64) {
	t.Helper()
	out := make([]epoll.Event, max)
	out = out[:e.Wait(out)]
	var got []uint64
	for _, ev := range out {
		got = append(got, ev.Data)
	}
	if fmt.Sprint(got) != fmt.Sprint(data) {
		t.Errorf("%s: told of %v, want %v", what, got, data)
	}
}

func TestCtlErrors(t *testing.T) {
	e, set := newSet(t)
	defer set.DecRef()
	in := epoll.Event{Events: epoll.In}
	f := eventfd.New(0, false, 0)
	defer f.DecRef()
	fs := memfs.New(memfs.Options{Now: now})
	ns := vfs.NewNamespace(now)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		t.Fatal(err)
	}
	dir, err := ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.DecRef()
	file, _ := ns.OpenAt(dir, "file", 0, abi.OCreat, true, true, 0)
	defer file.DecRef()
	want(t, "a directory", e.Add(3, dir, in), abi.EPERM)
	want(t, "a regular file", e.Add(3, file, in), abi.EPERM)
	want(t, "itself", e.Add(3, set, in), abi.EINVAL)
	want(t, "mod of none", e.Mod(3, f, in), abi.ENOENT)
	want(t, "del of none", e.Del(3, f), abi.ENOENT)
	want(t, "add", e.Add(3, f, in), abi.OK)
	want(t, "again", e.Add(3, f, in), abi.EEXIST)
	want(t, "by another fd", e.Add(4, f, in), abi.OK)
	want(t, "items", e.Len(), 2)
	want(t, "del", e.Del(3, f), abi.OK)
	want(t, "del again", e.Del(3, f), abi.ENOENT)
	_, errno := epoll.Of(f)
	want(t, "no set", errno, abi.EINVAL)
	_, errno = set.Read([][]byte{make([]byte, 8)})
	want(t, "read of a set", errno, abi.EINVAL)
}

// The last reference takes a file out of all sets; a duplicate keeps it in.
func TestCloseRemoves(t *testing.T) {
	e, set := newSet(t)
	outer, outerFile := newSet(t)
	defer outerFile.DecRef()
	table := vfs.NewFDTable(8)
	fd, _ := table.InstallAll(eventfd.New(1, false, 0))
	f, _ := table.Get(fd, 0)
	want(t, "add", e.Add(fd, f, epoll.Event{Events: epoll.In, Data: 1}), abi.OK)
	want(t, "add", e.Add(fd+1, f, epoll.Event{Events: epoll.In, Data: 2}), abi.OK)
	want(t, "nest", outer.Add(9, set, epoll.Event{Events: epoll.In, Data: 3}), abi.OK)
	f.DecRef()
	dup, _ := table.Dup(fd, 0, false)
	table.Close(fd)
	wantEvents(t, "with a duplicate", e, 5, 1, 2)
	wantEvents(t, "nested", outer, 5, 3)
	table.Close(dup)
	want(t, "items", e.Len(), 0)
	wantEvents(t, "without", e, 5)
	want(t, "readable", set.Readiness(waiter.In), 0)
	wantEvents(t, "nested", outer, 5)
	set.DecRef()
	want(t, "sets", outer.Len(), 0)
}

// A busy file does not hide others, however few are asked for at a time.
func TestFair(t *testing.T) {
	e, set := newSet(t)
	defer set.DecRef()
	for i := range 5 {
		f := eventfd.New(1, false, 0)
		defer f.DecRef()
		want(t, "add", e.Add(vfs.FD(i), f, epoll.Event{Events: epoll.In, Data: uint64(i)}), abi.OK)
	}
	wantEvents(t, "two", e, 2, 0, 1)
	wantEvents(t, "two", e, 2, 2, 3)
	wantEvents(t, "two", e, 2, 4, 0)
	wantEvents(t, "all", e, 9, 1, 2, 3, 4, 0)
	wantEvents(t, "none", e, 0)
}

func TestHangUp(t *testing.T) {
	e, set := newSet(t)
	defer set.DecRef()
	r, w, _ := pipefs.NewSystem(now, nil).New()
	want(t, "add", e.Add(0, r, epoll.Event{Events: epoll.Edge}), abi.OK)
	w.DecRef()
	var out [2]epoll.Event
	want(t, "events", e.Wait(out[:]), 1)
	want(t, "asked for or not", out[0].Events, epoll.Hup)
	want(t, "an edge", e.Wait(out[:]), 0)
	r.DecRef()
}

func TestBudget(t *testing.T) {
	budget := vfs.NewBudget(2)
	s := epoll.NewSystem(budget)
	one, two := s.New(), s.New()
	a, _ := epoll.Of(one)
	b, _ := epoll.Of(two)
	f := eventfd.New(1, false, 0)
	in := epoll.Event{Events: epoll.In}
	want(t, "add", a.Add(0, f, in), abi.OK)
	want(t, "nest", a.Add(1, two, in), abi.OK)
	want(t, "too many", b.Add(0, f, in), abi.ENOSPC)
	want(t, "del", a.Del(0, f), abi.OK)
	want(t, "a ring", b.Add(2, one, in), abi.ELOOP)
	want(t, "it takes nothing", budget.Used(), 1)
	want(t, "add", b.Add(0, f, in), abi.OK)
	f.DecRef()
	two.DecRef()
	want(t, "given back", budget.Used(), 0)
	one.DecRef()
}

// Two sets that are put into each other at once do not both succeed.
func TestNestRace(t *testing.T) {
	for range 200 {
		a, af := newSet(t)
		b, bf := newSet(t)
		var wg sync.WaitGroup
		var first, second abi.Errno
		in := epoll.Event{Events: epoll.In}
		wg.Go(func() { first = a.Add(1, bf, in) })
		wg.Go(func() { second = b.Add(1, af, in) })
		wg.Wait()
		if first == second || first|second != abi.ELOOP {
			t.Fatalf("%v and %v", first, second)
		}
		af.DecRef()
		bf.DecRef()
	}
}

// Posts, reads, closes and changes by many tasks, and some who wait: each post
// is seen, and nothing hangs.
func TestConcurrent(t *testing.T) {
	e, set := newSet(t)
	defer set.DecRef()
	outer, outerFile := newSet(t)
	defer outerFile.DecRef()
	want(t, "nest", outer.Add(0, set, epoll.Event{Events: epoll.In}), abi.OK)
	const posts = 500
	sem := eventfd.New(0, true, 0)
	defer sem.DecRef()
	want(t, "add", e.Add(1, sem, epoll.Event{Events: epoll.In, Data: 7}), abi.OK)
	done := make(chan struct{})
	var others, wg sync.WaitGroup
	others.Go(func() { // comings and goings of others
		for {
			select {
			case <-done:
				return
			default:
			}
			f := eventfd.New(1, false, 0)
			e.Add(2, f, epoll.Event{Events: epoll.In | epoll.Edge, Data: 8})
			e.Mod(2, f, epoll.Event{Events: epoll.Out, Data: 8})
			f.DecRef()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var left sync.Mutex
	got := 0
	finished := make(chan struct{}) // closed when all are read
	for range 3 {
		wg.Go(func() {
			entry, wake := waiter.NewChannelEntry(waiter.In)
			outerFile.Register(entry)
			defer outerFile.Unregister(entry)
			for {
				var out [4]epoll.Event
				outer.Wait(out[:1])
				n := e.Wait(out[:])
				for range n {
					if _, errno := sem.Read([][]byte{make([]byte, 8)}); errno == abi.OK {
						left.Lock()
						if got++; got == posts {
							close(finished)
						}
						left.Unlock()
					}
				}
				if n == 0 && outerFile.Readiness(waiter.In) == 0 {
					select {
					case <-wake:
					case <-finished:
						return
					case <-ctx.Done():
						return
					}
				}
			}
		})
	}
	for range posts {
		count(sem, 1)
	}
	select {
	case <-finished:
	case <-ctx.Done():
		t.Error("a post was lost")
	}
	close(done)
	wg.Wait()
	others.Wait()
	want(t, "read", got, posts)
}

// saved is what a checkpoint has of a table.
type saved struct {
	files *vfs.State
	table *vfs.FDTableState
	ns    *vfs.Namespace
}

func save(t *testing.T, table *vfs.FDTable) saved {
	t.Helper()
	ns := vfs.NewNamespace(now)
	s := vfs.NewSaver(ns)
	st, err := table.Save(s)
	if err != nil {
		t.Fatal(err)
	}
	table.CloseAll()
	return saved{s.State(), st, ns}
}

func (s saved) restore(t *testing.T, kinds map[string]vfs.RestoreFunc) (*vfs.FDTable, error) {
	t.Helper()
	if kinds == nil {
		kinds = make(map[string]vfs.RestoreFunc)
	}
	kinds[epoll.Kind] = epoll.NewSystem(nil).Restore
	if kinds[eventfd.Kind] == nil {
		kinds[eventfd.Kind] = eventfd.Restore
	}
	r, err := vfs.NewRestorer(s.files, s.ns, kinds)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return vfs.RestoreFDTable(s.table, r)
}

// file returns what is at fd, and keeps no reference.
func file(t *testing.T, table *vfs.FDTable, fd vfs.FD) *vfs.OpenFile {
	t.Helper()
	f, errno := table.Get(fd, 0)
	want(t, "get", errno, abi.OK)
	f.DecRef()
	return f
}

func set(t *testing.T, table *vfs.FDTable, fd vfs.FD) *epoll.Set {
	t.Helper()
	e, errno := epoll.Of(file(t, table, fd))
	want(t, "set", errno, abi.OK)
	return e
}

// After a restore a set tells what it would have told: in order, edges once,
// one-shot items not again, also through a set around it.
func TestRestore(t *testing.T) {
	table := vfs.NewFDTable(32)
	s := epoll.NewSystem(nil)
	outerFD, _ := table.InstallAll(s.New()) // before what is in it
	innerFD, _ := table.InstallAll(s.New())
	inner, outer := set(t, table, innerFD), set(t, table, outerFD)
	want(t, "nest", outer.Add(innerFD, file(t, table, innerFD), epoll.Event{Events: epoll.In, Data: 100}), abi.OK)
	var fds []vfs.FD
	for i, ev := range []epoll.Events{epoll.In, epoll.In | epoll.Edge, epoll.In | epoll.OneShot, epoll.In, epoll.In | epoll.Edge} {
		fd, _ := table.InstallAll(eventfd.New(0, false, 0))
		fds = append(fds, fd)
		want(t, "add", inner.Add(fd, file(t, table, fd), epoll.Event{Events: ev, Data: uint64(i)}), abi.OK)
	}
	for i := len(fds) - 1; i >= 0; i-- {
		count(file(t, table, fds[i]), 1)
	}
	wantEvents(t, "all", inner, 9, 4, 3, 2, 1, 0)
	count(file(t, table, fds[4]), 1) // another edge, not told yet

	table, err := save(t, table).restore(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	inner, outer = set(t, table, innerFD), set(t, table, outerFD)
	want(t, "items", inner.Len(), 5)
	wantEvents(t, "the set around", outer, 9, 100)
	wantEvents(t, "not what was told", inner, 9, 3, 0, 4)
	wantEvents(t, "edges once", inner, 9, 3, 0)
	count(file(t, table, fds[1]), 1)
	count(file(t, table, fds[2]), 1)
	wantEvents(t, "new edges", inner, 9, 3, 0, 1)
	want(t, "mod", inner.Mod(fds[2], file(t, table, fds[2]), epoll.Event{Events: epoll.In, Data: 9}), abi.OK)
	for _, fd := range []vfs.FD{fds[0], fds[3]} {
		drain(file(t, table, fd))
	}
	wantEvents(t, "armed again", inner, 9, 9)
	table.CloseAll()
}

// What a file is ready for at a restore and was not before is an edge.
func TestRestoreNewEdge(t *testing.T) {
	table := vfs.NewFDTable(32)
	setFD, _ := table.InstallAll(epoll.NewSystem(nil).New())
	fd, _ := table.InstallAll(eventfd.New(0, false, 0))
	e := set(t, table, setFD)
	want(t, "add", e.Add(fd, file(t, table, fd), epoll.Event{Events: epoll.In | epoll.Out | epoll.Edge, Data: 1}), abi.OK)
	wantEvents(t, "writable", e, 9, 1)
	s := save(t, table)
	for _, lost := range []bool{false, true} {
		kinds := map[string]vfs.RestoreFunc{eventfd.Kind: func(r *vfs.Restorer, data []byte) (vfs.File, error) {
			f, err := eventfd.Restore(r, data)
			if lost {
				f.(vfs.Stream).Write([][]byte{{1, 0, 0, 0, 0, 0, 0, 0}}) // as a connection that has gone gets readable
			}
			return f, err
		}}
		table, err := s.restore(t, kinds)
		if err != nil {
			t.Fatal(err)
		}
		if lost {
			wantEvents(t, "changed", set(t, table, setFD), 9, 1)
		} else {
			wantEvents(t, "as before", set(t, table, setFD), 9)
		}
		table.CloseAll()
	}
}

func TestRestoreHostile(t *testing.T) {
	object := func(kind string, v any) vfs.ObjectState {
		o, err := vfs.NewObjectState(kind, v)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	ev := vfs.FileState{Object: object(eventfd.Kind, eventfd.State{Count: 1})}
	of := func(items []epoll.ItemState, ready ...uint32) vfs.FileState {
		return vfs.FileState{Object: object(epoll.Kind, epoll.State{Items: items, Ready: ready})}
	}
	item := func(id vfs.FileID) []epoll.ItemState { return []epoll.ItemState{{File: id, Events: epoll.In}} }
	long := []vfs.FileState{}
	for i := range 10_000 {
		long = append(long, of(item(vfs.FileID(i+1))))
	}
	long = append(long, ev)
	for name, c := range map[string]struct {
		files []vfs.FileState
		text  string
	}{
		"no file":     {[]vfs.FileState{of(item(1))}, "there are 1"},
		"itself":      {[]vfs.FileState{of(item(0))}, "takes itself"},
		"a ring":      {[]vfs.FileState{of(item(1)), of(item(0))}, "takes itself"},
		"a long way":  {long, "too many others"},
		"twice":       {[]vfs.FileState{of(append(item(1), item(1)...)), ev}, abi.EEXIST.Error()},
		"ready":       {[]vfs.FileState{of(item(1), 1), ev}, "item 1 of 1"},
		"ready twice": {[]vfs.FileState{of(item(1), 0, 0), ev}, "item 0 of 1"},
		"disabled":    {[]vfs.FileState{of([]epoll.ItemState{{File: 1, Disabled: true}}, 0), ev}, "item 0 of 1"},
		"no message":  {[]vfs.FileState{{Object: vfs.ObjectState{Kind: epoll.Kind, Data: []byte{7}}}}, "epoll"},
	} {
		s := saved{&vfs.State{Files: c.files}, &vfs.FDTableState{Limit: 4, FDs: []vfs.FDState{{}}}, vfs.NewNamespace(now)}
		if _, err := s.restore(t, nil); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", name, err, c.text)
		}
	}
}
