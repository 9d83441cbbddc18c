package devfs_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/devfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

func now() int64 { return 1_700_000_000e9 }

// world is a root with /dev, for the process 7, which has a terminal.
type world struct {
	t    *testing.T
	ptys *ttyfs.Ptys
	dev  *pseudofs.FS
	ns   *vfs.Namespace
	ctx  *vfs.FSContext
	tty  *ttyfs.Terminal
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ptys: ttyfs.NewPtys(ttyfs.PtyOptions{Max: 3}), tty: ttyfs.New(ttyfs.Options{Name: "tty", Ino: 99})}
	w.dev = w.newDev()
	w.ns = vfs.NewNamespace(now)
	err := w.ns.MountAll([]vfs.Mount{
		{Guest: "/", FS: memfs.New(memfs.Options{Now: now})},
		{Guest: "/dev", FS: w.dev},
		{Guest: "/dev/shm", FS: memfs.New(memfs.Options{Now: now, Bytes: 1 << 20})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.ctx, err = vfs.NewFSContext(w.ns, "/"); err != nil {
		t.Fatal(err)
	}
	w.ctx.SetCaller(7)
	t.Cleanup(w.ctx.Close)
	return w
}

func (w *world) newDev() *pseudofs.FS {
	n := byte(0)
	return devfs.New(devfs.Options{
		Time: now(), Ptys: w.ptys,
		Random: func(b []byte) {
			for i := range b {
				n = n*5 + 3
				b[i] = n
			}
		},
		TTY: func(pid uint32) *ttyfs.Terminal {
			if pid == 7 {
				return w.tty
			}
			return nil
		},
	})
}

// kinds restore what is not of the mount.
func (w *world) kinds(ptys *ttyfs.Ptys, tty *ttyfs.Terminal) map[string]vfs.RestoreFunc {
	return map[string]vfs.RestoreFunc{
		ttyfs.Kind: ttyfs.Restore(func(name string) (*ttyfs.Terminal, error) {
			if name == "tty" {
				return tty, nil
			}
			return ptys.Provide(name), nil
		}),
		ttyfs.MasterKind: ptys.Restore,
	}
}

func (w *world) open(p string) *vfs.OpenFile {
	w.t.Helper()
	f, errno := w.ctx.OpenAt(nil, p, abi.SymlinkFollow, 0, true, true, 0)
	if errno != abi.OK {
		w.t.Fatalf("open %s: %v", p, errno)
	}
	return f
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func read(f *vfs.OpenFile) (string, abi.Errno) {
	b := make([]byte, 64)
	n, errno := f.Read([][]byte{b[:10], b[10:]})
	return string(b[:n]), errno
}

func write(f *vfs.OpenFile, s string) abi.Errno {
	n, errno := f.Write([][]byte{[]byte(s)})
	if errno == abi.OK && n != len(s) {
		return abi.EIO
	}
	return errno
}

func TestTree(t *testing.T) {
	w := newWorld(t)
	master, _, errno := w.ptys.New()
	want(t, "pty", errno, abi.OK)
	defer master.Close()
	ptys := ttyfs.NewPtys(ttyfs.PtyOptions{})
	vfstest.TestTree(t, vfstest.Tree{
		FS: w.dev, Again: func() vfs.FileSystem { return w.newDev() }, Caller: 7,
		Kinds: w.kinds(ptys, ttyfs.New(ttyfs.Options{Name: "tty"})),
	})
}

func TestDevices(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name  string
		text  string
		write abi.Errno
	}{
		{"null", "", abi.OK},
		{"zero", strings.Repeat("\x00", 64), abi.OK},
		{"full", strings.Repeat("\x00", 64), abi.ENOSPC},
	} {
		f := w.open("/dev/" + c.name)
		got, errno := read(f)
		want(t, "read "+c.name, got, c.text)
		want(t, "read "+c.name, errno, abi.OK)
		want(t, "write "+c.name, write(f, "x"), c.write)
		at, errno := f.Lseek(100, abi.SeekSet)
		want(t, "seek "+c.name, at, 0)
		want(t, "seek "+c.name, errno, abi.OK)
		base, _ := f.Rights()
		want(t, c.name+" is no terminal", base.Has(abi.RightFDSeek), true)
		f.DecRef()
	}
	f := w.open("/dev/urandom")
	one, _ := read(f)
	two, _ := read(f)
	want(t, "random", one == two || len(one) != 64, false)
	b := make([]byte, 4<<20)
	n, _ := f.Read([][]byte{b[:1<<20-5], b[1<<20-5:]})
	want(t, "a long read has an end", n, 1<<20)
	f.DecRef()
	f, errno := w.ctx.OpenAt(nil, "/dev/null", 0, abi.OTrunc|abi.OCreat, false, true, 0)
	want(t, "as a shell opens it", errno, abi.OK)
	f.DecRef()
	shm, errno := w.ctx.OpenAt(nil, "/dev/shm/x", 0, abi.OCreat, true, true, 0)
	want(t, "shm", errno, abi.OK)
	shm.DecRef()
}

func TestTTY(t *testing.T) {
	w := newWorld(t)
	f := w.open("/dev/tty")
	w.tty.Input([]byte("typed\n"))
	got, _ := read(f)
	want(t, "typed", got, "typed\n")
	tt, ok := ttyfs.Of(f.File())
	want(t, "is the terminal", ok && tt == w.tty, true)
	f.DecRef()
	w.ctx.SetCaller(8)
	_, errno := w.ctx.OpenAt(nil, "/dev/tty", 0, 0, true, true, 0)
	want(t, "of a process without", errno, abi.ENXIO)
}

// A pty goes through what one of Linux goes through.
func TestPty(t *testing.T) {
	w := newWorld(t)
	m := w.open("/dev/ptmx")
	_, errno := read(m)
	want(t, "fresh", errno, abi.EAGAIN)
	want(t, "early", write(m, "early\n"), abi.OK)
	got, _ := read(m)
	want(t, "echo", got, "early\r\n")
	s := w.open("/dev/pts/0")
	got, _ = read(s)
	want(t, "typed", got, "early\n")
	want(t, "write", write(s, "hello"), abi.OK)
	s.DecRef()
	got, _ = read(m)
	want(t, "written", got, "hello")
	_, errno = read(m)
	want(t, "closed", errno, abi.EIO)
	want(t, "closed", m.Readiness(0), 8) // Hup
	want(t, "typed to nobody", write(m, "x\n"), abi.OK)
	s = w.open("/dev/pts/0")
	got, _ = read(m)
	want(t, "echo", got, "x\r\n")
	_, errno = read(m)
	want(t, "opened again", errno, abi.EAGAIN)
	mt, _ := ttyfs.Of(m.File())
	st, _ := ttyfs.Of(s.File())
	want(t, "one terminal", mt == st, true)
	want(t, "which is which", ttyfs.IsMaster(m.File()) && !ttyfs.IsMaster(s.File()), true)
	other := w.open("/dev/ptmx")
	ot, _ := ttyfs.Of(other.File())
	n, _ := ot.Number()
	want(t, "the next number", n, 1)
	m.DecRef()
	_, errno = w.ctx.OpenAt(nil, "/dev/pts/0", 0, 0, true, true, 0)
	want(t, "without a master", errno, abi.ENOENT)
	want(t, "hung up", write(s, "x"), abi.EIO)
	s.DecRef()
	a, b := w.open("/dev/ptmx"), w.open("/dev/ptmx")
	_, errno = w.ctx.OpenAt(nil, "/dev/ptmx", 0, 0, true, true, 0)
	want(t, "too many", errno, abi.ENOSPC)
	for _, f := range []*vfs.OpenFile{a, b, other} {
		f.DecRef()
	}
}

// Ptys are saved with what is in them, one without its master beside one that
// has taken the number.
func TestRestorePty(t *testing.T) {
	w := newWorld(t)
	gone := w.open("/dev/ptmx")
	left := w.open("/dev/pts/0")
	gone.DecRef()
	m, s := w.open("/dev/ptmx"), w.open("/dev/pts/0")
	mt, _ := ttyfs.Of(m.File())
	mt.Resize(ttyfs.Winsize{Rows: 5, Cols: 6})
	write(s, "shown")
	write(m, "typed\n")
	tty := w.open("/dev/tty")
	table := vfs.NewFDTable(8)
	for _, f := range []*vfs.OpenFile{left, m, s, tty} {
		table.InstallAll(f)
	}
	saver := vfs.NewSaver(w.ns)
	st, err := table.Save(saver)
	if err != nil {
		t.Fatal(err)
	}
	table.CloseAll()

	var signals bytes.Buffer
	ptys := ttyfs.NewPtys(ttyfs.PtyOptions{Signal: func(t *ttyfs.Terminal, sig int32) { signals.WriteString(t.Name() + " ") }})
	console := ttyfs.New(ttyfs.Options{Name: "tty"})
	r, err := vfs.NewRestorer(saver.State(), w.ns, w.kinds(ptys, console))
	if err != nil {
		t.Fatal(err)
	}
	if table, err = vfs.RestoreFDTable(st, r); err != nil {
		t.Fatal(err)
	}
	r.Close()
	get := func(fd vfs.FD) *vfs.OpenFile {
		f, errno := table.Get(fd, 0)
		want(t, "get", errno, abi.OK)
		f.DecRef()
		return f
	}
	want(t, "hung up", write(get(0), "x"), abi.EIO)
	got, _ := read(get(1))
	want(t, "shown", got, "shown"+"typed\r\n")
	got, _ = read(get(2))
	want(t, "typed", got, "typed\n")
	mt, _ = ttyfs.Of(get(1).File())
	want(t, "size", mt.Size().Cols, 6)
	want(t, "number", ptys.Get(0) == mt, true)
	tt, _ := ttyfs.Of(get(3).File())
	want(t, "the console", tt == console, true)
	want(t, "its path", get(3).Path(), "/dev/tty")
	write(get(1), "\x03")
	want(t, "interrupted", signals.String(), "pts/0 ")
	table.Close(2)
	_, errno := read(get(1))
	want(t, "the echo", errno, abi.OK)
	_, errno = read(get(1))
	want(t, "closed", errno, abi.EIO)
	table.CloseAll()

	// Made-up states.
	object := func(kind string, v any) vfs.ObjectState {
		o, err := vfs.NewObjectState(kind, v)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	term := saver.State().Objects[0]
	master := vfs.FileState{Object: object(ttyfs.MasterKind, ttyfs.FileState{})}
	for name, st := range map[string]vfs.State{
		"no terminal": {Files: []vfs.FileState{master}},
		"two masters": {Files: []vfs.FileState{master, master}, Objects: []vfs.ObjectState{term}},
		"no message":  {Files: []vfs.FileState{{Object: vfs.ObjectState{Kind: ttyfs.MasterKind, Data: []byte{7}}}}},
		"no pty":      {Files: []vfs.FileState{master}, Objects: []vfs.ObjectState{object(ttyfs.Kind, ttyfs.State{Name: "tty"})}},
		"no number":   {Files: []vfs.FileState{master}, Objects: []vfs.ObjectState{object(ttyfs.Kind, ttyfs.State{Name: "pts/01"})}},
	} {
		r, err := vfs.NewRestorer(&st, w.ns, w.kinds(ttyfs.NewPtys(ttyfs.PtyOptions{}), console))
		if err != nil {
			t.Fatal(err)
		}
		err = nil
		for i := range st.Files {
			if f, e := r.File(vfs.FileID(i)); e != nil {
				err = e
			} else {
				f.DecRef()
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		r.Close()
	}
}

func TestRestoreHostile(t *testing.T) {
	w := newWorld(t)
	for name, s := range map[string]pseudofs.State{
		"no type":    {Path: "null"},
		"no device":  {Path: "none", Type: abi.FiletypeCharacterDevice},
		"a terminal": {Path: "tty", Type: abi.FiletypeCharacterDevice},
		"a master":   {Path: "ptmx", Type: abi.FiletypeCharacterDevice},
		"absolute":   {Path: "/null", Type: abi.FiletypeCharacterDevice},
	} {
		o, err := vfs.NewObjectState(devfs.Type, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.dev.RestoreFile(nil, o.Data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	want(t, "ptys", len(w.ptys.Numbers()), 0)
	if _, err := w.dev.RestoreFile(nil, []byte{7}); err == nil {
		t.Error("no message: no error")
	}
}
