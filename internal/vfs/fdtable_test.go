package vfs_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// probe is a File that knows whether it is open.
type probe struct {
	waiter.AlwaysReady
	t      *testing.T
	id     string
	closed bool
}

func (p *probe) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Filetype: abi.FiletypeCharacterDevice}, abi.OK
}

func (p *probe) Save(*vfs.Saver) (vfs.ObjectState, error) { return vfs.ObjectState{Kind: "probe"}, nil }

func (p *probe) Read([][]byte) (int, abi.Errno)  { return 0, abi.OK }
func (p *probe) Write([][]byte) (int, abi.Errno) { return 0, abi.OK }

func (p *probe) Close() {
	if p.closed {
		p.t.Errorf("%s is closed twice", p.id)
	}
	p.closed = true
}

func newProbe(t *testing.T, id string) (*probe, *vfs.OpenFile) {
	p := &probe{t: t, id: id}
	return p, vfs.NewOpenFile(p, true, true, 0)
}

func install(t *testing.T, table *vfs.FDTable, id string) (vfs.FD, *probe) {
	t.Helper()
	p, f := newProbe(t, id)
	fd, errno := table.InstallAll(f)
	want(t, "install "+id, errno, abi.OK)
	return fd, p
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestLowestFree(t *testing.T) {
	table := vfs.NewFDTable(6)
	var probes []*probe
	for i := range 5 {
		fd, p := install(t, table, string(rune('a'+i)))
		want(t, "fd", fd, vfs.FD(i))
		probes = append(probes, p)
	}
	table.Close(3)
	table.Close(1)
	want(t, "closed", probes[1].closed && probes[3].closed, true)
	fd, errno := table.Dup(0, 2, false)
	want(t, "dup from 2", fd, 3)
	want(t, "dup from 2", errno, abi.OK)
	fd, _ = install(t, table, "x")
	want(t, "the lowest", fd, 1)
	fd, _ = install(t, table, "y")
	want(t, "the next", fd, 5)
	p, f := newProbe(t, "z")
	_, errno = table.InstallAll(f)
	want(t, "beyond the limit", errno, abi.EMFILE)
	want(t, "what did not fit is closed", p.closed, true)
	_, errno = table.Dup(0, 0, false)
	want(t, "dup beyond the limit", errno, abi.EMFILE)
	_, errno = table.Dup(0, 6, false)
	want(t, "dup from the limit", errno, abi.EINVAL)
	_, errno = table.Dup(0, ^vfs.FD(0), false)
	want(t, "dup from far away", errno, abi.EINVAL)
	for _, fd := range []vfs.FD{6, 7, 1 << 31, ^vfs.FD(0)} {
		want(t, "close", table.Close(fd), abi.EBADF)
	}
	table.Close(0)
	want(t, "a duplicate is left", probes[0].closed, false)
	table.CloseAll()
	want(t, "none is left", probes[0].closed, true)
}

func TestRenumber(t *testing.T) {
	table := vfs.NewFDTable(8)
	_, a := install(t, table, "a")
	_, b := install(t, table, "b")
	want(t, "to a free fd", table.Renumber(0, 5), abi.EBADF)
	want(t, "from a free fd", table.Renumber(5, 0), abi.EBADF)
	want(t, "onto itself", table.Renumber(0, 0), abi.OK)
	want(t, "onto another", table.Renumber(0, 1), abi.OK)
	want(t, "the other is closed", b.closed, true)
	want(t, "the one is not", a.closed, false)
	want(t, "its old fd", table.Close(0), abi.EBADF)
	f, errno := table.Get(1, abi.RightFDRead)
	want(t, "its new fd", errno, abi.OK)
	want(t, "close in the middle of a call", table.Close(1), abi.OK)
	want(t, "the call holds it", a.closed, false)
	f.DecRef()
	want(t, "then it goes", a.closed, true)
}

func TestRefusals(t *testing.T) {
	table := vfs.NewFDTable(8)
	fd, _ := install(t, table, "a")
	for need, errno := range map[abi.Rights]abi.Errno{
		abi.RightFDSeek: abi.ESPIPE, abi.RightPathOpen: abi.ENOTDIR, abi.RightFDReaddir: abi.ENOTDIR,
		abi.RightSockAccept: abi.ENOTSOCK, abi.RightSockShutdown: abi.ENOTSOCK, abi.RightFDRead: abi.OK,
	} {
		f, got := table.Get(fd, need)
		if got != errno {
			t.Errorf("rights %#x: %v, want %v", need, got, errno)
		}
		if got == abi.OK {
			f.DecRef()
		}
	}
	_, errno := table.PreopenName(fd)
	want(t, "preopen name", errno, abi.EBADF)
	p, f := newProbe(t, "b")
	_, errno = table.Preopen(f, "/")
	want(t, "preopen of no directory", errno, abi.ENOTDIR)
	want(t, "it is closed", p.closed, true)
	table.CloseAll()
}

// The table against a map, over random calls.
func TestTableModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const limit = 20
	table := vfs.NewFDTable(limit)
	model := map[vfs.FD]*probe{}
	lowest := func(from vfs.FD) vfs.FD {
		for model[from] != nil {
			from++
		}
		return from
	}
	for i := range 20_000 {
		a, b := vfs.FD(rnd.IntN(limit)), vfs.FD(rnd.IntN(limit))
		switch rnd.IntN(4) {
		case 0:
			if free := lowest(0); free < limit {
				fd, p := install(t, table, "p")
				want(t, "install", fd, free)
				model[fd] = p
			}
		case 1:
			want(t, "close", table.Close(a) == abi.OK, model[a] != nil)
			delete(model, a)
		case 2:
			want(t, "renumber", table.Renumber(a, b) == abi.OK, model[a] != nil && model[b] != nil)
			if model[a] != nil && model[b] != nil && a != b {
				model[b] = model[a]
				delete(model, a)
			}
		case 3:
			if model[a] != nil && lowest(b) < limit {
				fd, errno := table.Dup(a, b, false)
				want(t, "dup", errno, abi.OK)
				want(t, "dup", fd, lowest(b))
				model[fd] = model[a]
			}
		}
		for fd, p := range model {
			if p.closed {
				t.Fatalf("step %d: fd %d is of a closed file", i, fd)
			}
		}
	}
}
