package vfs_test

import (
	"reflect"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/devfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/waiter"
)

// kindImage is a system with open files of all kinds.
type kindImage struct {
	VFS    vfs.State          `pb:"1"`
	Tables []vfs.FDTableState `pb:"2"`
	CWD    vfs.FSContextState `pb:"3"`
	Mem    memfs.State        `pb:"4"`
}

// kindWorld is what such a system has besides.
type kindWorld struct {
	lower *memfs.FS
	ptys  *ttyfs.Ptys
	pipes *vfs.Budget
	dev   *pseudofs.FS
	kinds map[string]vfs.RestoreFunc
}

func newKindWorld() *kindWorld {
	w := &kindWorld{lower: memfs.New(memfs.Options{Now: now}), ptys: ttyfs.NewPtys(ttyfs.PtyOptions{Max: 8}), pipes: vfs.NewBudget(1 << 20)}
	root, _ := w.lower.Root()
	root.Mkdir("dir")
	f, _ := root.Open("below", vfs.OpenOptions{Write: true, Flags: abi.OCreat})
	f.(vfs.Regular).WriteAt([][]byte{[]byte("from below")}, 0)
	f.Close()
	w.dev = devfs.New(devfs.Options{Random: func([]byte) {}, Ptys: w.ptys})
	w.kinds = map[string]vfs.RestoreFunc{
		pipefs.Kind: pipefs.NewSystem(now, w.pipes).Restore, unixsock.Kind: unixsock.NewSystem(now, w.pipes).Restore,
		eventfd.Kind: eventfd.Restore, epoll.Kind: epoll.NewSystem(vfs.NewBudget(100)).Restore, ttyfs.MasterKind: w.ptys.Restore,
		ttyfs.Kind: ttyfs.Restore(func(name string) (*ttyfs.Terminal, error) { return w.ptys.Provide(name), nil }),
	}
	return w
}

// namespace mounts everything.
func (w *kindWorld) namespace(fs *memfs.FS) *vfs.Namespace {
	ns := vfs.NewNamespace(now)
	if err := ns.MountAll([]vfs.Mount{{Guest: "/", FS: fs}, {Guest: "/dev", FS: w.dev}}); err != nil {
		return nil
	}
	return ns
}

// fullKinds has files of all kinds, with something in them, in two tables.
func fullKinds(t *testing.T) []byte {
	w := newKindWorld()
	fs := memfs.New(memfs.Options{Now: now, Bytes: 1 << 20, Inodes: 1000, Lower: w.lower})
	ns := w.namespace(fs)
	ctx, err := vfs.NewFSContext(ns, "/dir")
	if err != nil {
		t.Fatal(err)
	}
	table := vfs.NewFDTable(32)
	add := func(f *vfs.OpenFile) *vfs.OpenFile {
		if _, errno := table.InstallAll(f); errno != abi.OK {
			t.Fatal(errno)
		}
		return f
	}
	open := func(p string, write bool) *vfs.OpenFile {
		f, errno := ctx.OpenAt(nil, p, 0, 0, true, write, 0)
		if errno != abi.OK {
			t.Fatalf("open %s: %v", p, errno)
		}
		return add(f)
	}
	put := func(f *vfs.OpenFile) { f.Write([][]byte{[]byte("some bytes")}) }
	r, p, _ := pipefs.NewSystem(now, nil).New()
	put(add(p))
	set := add(epoll.NewSystem(nil).New())
	e, _ := epoll.Of(set)
	event := add(eventfd.New(3, true, 0))
	for i, f := range []*vfs.OpenFile{add(r), event} {
		e.Add(vfs.FD(i), f, epoll.Event{Events: epoll.In | epoll.Edge, Data: uint64(i)})
	}
	for _, typ := range []unixsock.Type{unixsock.Stream, unixsock.Dgram} {
		a, b, _ := unixsock.NewSystem(now, nil).Pair(typ, 0)
		put(add(a))
		add(b)
	}
	put(open("/dev/ptmx", true))
	put(open("/dev/pts/0", true))
	open("/dev/null", true)
	open("/dev", false)
	below := open("/below", false)
	below.Flock(vfs.ReadLock)
	table.SetLock(below, vfs.Lock{Type: vfs.ReadLock, Start: 3, End: 7})
	open("/", false)
	child, _ := table.Clone()

	img := kindImage{Mem: *fs.Save()}
	s := vfs.NewSaver(ns)
	for _, table := range []*vfs.FDTable{table, child} {
		st, err := table.Save(s)
		if err != nil {
			t.Fatal(err)
		}
		img.Tables = append(img.Tables, *st)
	}
	cwd, err := ctx.Save(s)
	if err != nil {
		t.Fatal(err)
	}
	img.CWD, img.VFS = *cwd, *s.State()
	b, err := protostruct.Marshal(img)
	if err != nil {
		t.Fatal(err)
	}
	ctx.Close()
	table.CloseAll()
	child.CloseAll()
	return b
}

// restoreKinds restores what it can, uses it, and closes it. It reports whether
// all was taken.
func restoreKinds(t *testing.T, b []byte) bool {
	var img kindImage
	if protostruct.Unmarshal(b, &img) != nil {
		return false
	}
	w := newKindWorld()
	fs, err := memfs.Restore(&img.Mem, memfs.Options{Now: now, Lower: w.lower})
	if err != nil {
		return false
	}
	ns := w.namespace(fs)
	if ns == nil {
		return false
	}
	r, err := vfs.NewRestorer(&img.VFS, ns, w.kinds)
	if err != nil {
		return false
	}
	ok := true
	var tables []*vfs.FDTable
	for i := range img.Tables {
		table, err := vfs.RestoreFDTable(&img.Tables[i], r)
		if err != nil {
			ok = false
			break
		}
		tables = append(tables, table)
	}
	ctx, err := vfs.RestoreFSContext(&img.CWD, r)
	r.Close()
	if err == nil {
		ctx.Getcwd()
		ctx.StatAt(nil, "../below", 0)
		ctx.Close()
	}
	for _, table := range tables {
		useKinds(table)
		use(ns, table)
		table.CloseAll()
	}
	if n := w.pipes.Used(); n != 0 {
		t.Errorf("%d bytes of pipes are taken when all is closed", n)
	}
	if n := w.ptys.Numbers(); len(n) != 0 {
		t.Errorf("ptys %v are there when all is closed", n)
	}
	return ok && err == nil
}

// useKinds does what can be done with files that are not regular.
func useKinds(table *vfs.FDTable) {
	for fd := range vfs.FD(20) {
		f, errno := table.Get(fd, 0)
		if errno != abi.OK {
			continue
		}
		b := [][]byte{make([]byte, 300)}
		f.Readiness(waiter.In | waiter.Out)
		f.Read(b)
		f.Write(b)
		f.Stat()
		f.Buffered()
		f.Flock(vfs.WriteLock)
		table.SetLock(f, vfs.Lock{Type: vfs.ReadLock, End: 10})
		if s, errno := f.Socket(); errno == abi.OK {
			s.Recv(b, abi.RecvPeek)
			s.Shutdown(abi.ShutWr)
		}
		if e, errno := epoll.Of(f); errno == abi.OK {
			e.Wait(make([]epoll.Event, 5))
		}
		f.DecRef()
	}
}

// Each value of a state with all kinds replaced by others, one at a time, also
// in the messages of each kind: an error, or files that can be used; what was
// taken is given back.
func TestRestoreKindsMutated(t *testing.T) {
	full := fullKinds(t)
	if !restoreKinds(t, full) {
		t.Fatal("what was saved is refused")
	}
	var img kindImage
	if err := protostruct.Unmarshal(full, &img); err != nil {
		t.Fatal(err)
	}
	taken, refused := 0, 0
	try := func() {
		b, err := protostruct.Marshal(img)
		if err != nil {
			t.Fatal(err)
		}
		if restoreKinds(t, b) {
			taken++
		} else {
			refused++
		}
	}
	mutate := func(v any, changed func()) {
		prototest.Walk(v, func(path string, v reflect.Value) {
			old := reflect.ValueOf(v.Interface())
			for _, h := range prototest.Hostile(v) {
				v.Set(h)
				changed()
				try()
			}
			v.Set(old)
		})
	}
	mutate(&img.Tables, func() {})
	mutate(&img.CWD, func() {})
	mutate(&img.Mem, func() {})
	seen := make(map[reflect.Type]bool)
	data := func(o *vfs.ObjectState, v any) {
		if err := protostruct.Unmarshal(o.Data, v); err != nil {
			t.Fatal(err)
		}
		seen[reflect.TypeOf(v)] = true
		old := o.Data
		mutate(v, func() {
			b, err := protostruct.Marshal(reflect.ValueOf(v).Elem().Interface())
			if err != nil {
				t.Fatal(err)
			}
			o.Data = b
		})
		o.Data = old
	}
	for i := range img.VFS.Files {
		o := &img.VFS.Files[i].Object
		states := map[string]any{pipefs.Kind: &pipefs.EndState{}, unixsock.Kind: &unixsock.SocketState{}, eventfd.Kind: &eventfd.State{},
			epoll.Kind: &epoll.State{}, ttyfs.Kind: &ttyfs.FileState{}, ttyfs.MasterKind: &ttyfs.FileState{},
			devfs.Type: &pseudofs.State{}, memfs.Type: &memfs.FileState{}}
		data(o, states[o.Kind])
	}
	for i := range img.VFS.Objects {
		o := &img.VFS.Objects[i]
		states := map[string]any{pipefs.Kind: &pipefs.State{}, unixsock.Kind: &unixsock.State{}, ttyfs.Kind: &ttyfs.State{}}
		data(o, states[o.Kind])
	}
	if taken < 500 || refused < 500 || len(seen) != 10 {
		t.Errorf("%d states were taken, %d refused, of %d types", taken, refused, len(seen))
	}
}
