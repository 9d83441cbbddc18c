package vfs_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
)

// A clone has fds of its own, on the same open files.
func TestClone(t *testing.T) {
	_, ns, table := newTree(t)
	fd, errno := table.PathOpen(ns, 0, 0, "file", abi.OCreat, abi.RightsFile, 0, 0)
	want(t, "open", errno, abi.OK)
	pfd, p := install(t, table, "p")
	want(t, "cloexec", table.SetCloexec(pfd, true), abi.OK)
	child, errno := table.Clone()
	want(t, "clone", errno, abi.OK)
	want(t, "limit", child.Limit(), table.Limit())
	name, _ := child.PreopenName(0)
	want(t, "preopen", name, "/")
	on, _ := child.Cloexec(pfd)
	want(t, "cloexec of the clone", on, true)

	mine, _ := table.Get(fd, 0)
	theirs, _ := child.Get(fd, 0)
	mine.Write([][]byte{[]byte("abc")})
	at, _ := theirs.Lseek(0, abi.SeekCur)
	want(t, "shared offset", at, 3)
	mine.DecRef()
	theirs.DecRef()

	table.Close(pfd)
	want(t, "closed while the clone has it", p.closed, false)
	next, q := install(t, table, "q")
	want(t, "the fd is free here", next, pfd)
	child.Close(pfd)
	want(t, "closed by both", p.closed, true)
	_, errno = child.Get(next, 0)
	want(t, "opened after the clone", errno, abi.EBADF)
	child.CloseAll()
	want(t, "only here", q.closed, false)
	table.CloseAll()
	want(t, "the end", q.closed, true)
}

func TestDup2(t *testing.T) {
	table := vfs.NewFDTable(8)
	_, a := install(t, table, "a")
	_, b := install(t, table, "b")
	want(t, "of a free fd", table.Dup2(5, 0, false), abi.EBADF)
	want(t, "at the limit", table.Dup2(0, 8, false), abi.EBADF)
	want(t, "far away", table.Dup2(0, ^vfs.FD(0), false), abi.EBADF)
	want(t, "onto itself", table.Dup2(0, 0, true), abi.OK)
	on, _ := table.Cloexec(0)
	want(t, "onto itself leaves cloexec", on, false)
	want(t, "onto another", table.Dup2(0, 1, true), abi.OK)
	want(t, "the other is closed", b.closed, true)
	on, _ = table.Cloexec(1)
	want(t, "cloexec", on, true)
	want(t, "onto a free one", table.Dup2(1, 2, false), abi.OK)
	fd, _ := install(t, table, "c")
	want(t, "the lowest free", fd, 3)
	want(t, "beyond", table.Dup2(0, 7, false), abi.OK)
	fd, _ = install(t, table, "d")
	want(t, "below that", fd, 4)
	table.CloseOnExec()
	_, errno := table.Get(1, 0)
	want(t, "closed by exec", errno, abi.EBADF)
	want(t, "another is left", a.closed, false)
	fd, _ = install(t, table, "e")
	want(t, "the lowest free", fd, 1)
	table.CloseAll()
	want(t, "none is left", a.closed, true)
}

// RLIMIT_NOFILE can be lowered below what is open.
func TestSetLimit(t *testing.T) {
	_, ns, table := newTree(t)
	for range 5 {
		install(t, table, "x")
	}
	table.SetLimit(3)
	_, f := newProbe(t, "y")
	_, errno := table.InstallAll(f)
	want(t, "install", errno, abi.EMFILE)
	want(t, "dup2 onto an open fd above", table.Dup2(1, 4, false), abi.EBADF)
	want(t, "close above", table.Close(5), abi.OK)
	table.Close(1)
	fd, _ := install(t, table, "z")
	want(t, "a free one below", fd, 1)

	// What is above is saved, too.
	s := vfs.NewSaver(ns)
	st, err := table.Save(s)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]vfs.RestoreFunc{"probe": func(*vfs.Restorer, []byte) (vfs.File, error) { return &probe{t: t}, nil }}
	r, err := vfs.NewRestorer(s.State(), ns, kinds)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	again, err := vfs.RestoreFDTable(st, r)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "limit", again.Limit(), 3)
	_, errno = again.Fdstat(4)
	want(t, "fd above the limit", errno, abi.OK)
	again.CloseAll()
	table.CloseAll()
}

// What the tables of a system take together is bounded, and given back.
func TestFDBudget(t *testing.T) {
	b := vfs.NewBudget(30)
	table := vfs.NewFDTableIn(b, 1000)
	install(t, table, "a")
	want(t, "one high fd", table.Dup2(0, 9, false), abi.OK)
	want(t, "it takes all below", b.Used(), 10)
	want(t, "too high", table.Dup2(0, 30, false), abi.ENFILE)
	_, errno := table.Dup(0, 30, false)
	want(t, "too high", errno, abi.ENFILE)
	one, errno := table.Clone()
	want(t, "clone", errno, abi.OK)
	two, errno := table.Clone()
	want(t, "clone", errno, abi.OK)
	want(t, "all", b.Used(), 30)
	_, errno = table.Clone()
	want(t, "one too many", errno, abi.ENFILE)
	one.Close(9)
	_, errno = one.Clone()
	want(t, "one too many", errno, abi.ENFILE)
	two.CloseAll()
	three, errno := one.Clone()
	want(t, "a table without its highest fd", errno, abi.OK)
	want(t, "is smaller", b.Used(), 21)
	for _, table := range []*vfs.FDTable{table, one, three} {
		table.CloseAll()
	}
	want(t, "nothing is left", b.Used(), 0)
}

// A few bytes of a state cannot take much memory.
func TestRestoreBudget(t *testing.T) {
	_, ns, table := newTree(t)
	s := vfs.NewSaver(ns)
	st, err := table.Save(s)
	if err != nil {
		t.Fatal(err)
	}
	table.CloseAll()
	st.Limit, st.FDs[0].FD = vfs.MaxFDs, vfs.MaxFDs-1
	r, err := vfs.NewRestorer(s.State(), ns, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var tables []*vfs.FDTable
	for range 5 {
		var table *vfs.FDTable
		if table, err = vfs.RestoreFDTable(st, r); err != nil {
			break
		}
		tables = append(tables, table)
	}
	if err == nil || !strings.Contains(err.Error(), abi.ENFILE.Error()) || len(tables) != 4 {
		t.Errorf("%d tables with the highest fd: %v", len(tables), err)
	}
	for _, table := range tables {
		table.CloseAll()
	}
}

// Forks, execs and closes by many processes at once: each file is closed once,
// when nobody has it any more.
func TestCloneRaces(t *testing.T) {
	root := vfs.NewFDTable(64)
	var probes []*probe
	for range 10 {
		_, p := install(t, root, "p")
		probes = append(probes, p)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for range 300 {
				c, errno := root.Clone()
				if errno != abi.OK {
					t.Error(errno)
					return
				}
				for range 10 {
					a, b := vfs.FD(rnd.IntN(20)), vfs.FD(rnd.IntN(20))
					switch rnd.IntN(4) {
					case 0:
						c.Dup2(a, b, rnd.IntN(2) == 0)
					case 1:
						c.Close(a)
					case 2:
						c.CloseOnExec()
					case 3:
						root.Dup2(a%10, 10+b, false)
					}
				}
				c.CloseAll()
			}
		})
	}
	wg.Wait()
	for _, p := range probes {
		want(t, "closed while the root has it", p.closed, false)
	}
	root.CloseAll()
	for _, p := range probes {
		want(t, "closed", p.closed, true)
	}
}

// processes is a parent with a child, as a checkpoint saves them.
type processes struct {
	VFS    vfs.State            `pb:"1"`
	Tables []vfs.FDTableState   `pb:"2"`
	CWDs   []vfs.FSContextState `pb:"3"`
	Mem    memfs.State          `pb:"4"`
}

// Tables that share open files share them after a restore, and a pipe between
// processes is one pipe.
func TestRestoreTables(t *testing.T) {
	fs, ns, parent := newTree(t)
	fd, errno := parent.PathOpen(ns, 0, 0, "file", abi.OCreat, abi.RightsFile, 0, 0)
	want(t, "open", errno, abi.OK)
	r, w, _ := pipefs.NewSystem(now, nil).New()
	rfd, _ := parent.InstallAll(r)
	wfd, _ := parent.InstallAll(w)
	w.Write([][]byte{[]byte("in the pipe")})
	root, _ := parent.Get(0, 0)
	ns.MkdirAt(root, "dir")
	root.DecRef()
	pctx, err := vfs.NewFSContext(ns, "/dir")
	if err != nil {
		t.Fatal(err)
	}
	child, _ := parent.Clone()
	cctx := pctx.Clone()
	want(t, "chdir", cctx.Chdir(".."), abi.OK)
	parent.Close(rfd) // the parent writes, the child reads
	child.Close(wfd)

	s := vfs.NewSaver(ns)
	var st processes
	for _, table := range []*vfs.FDTable{parent, child} {
		fds, err := table.Save(s)
		if err != nil {
			t.Fatal(err)
		}
		st.Tables = append(st.Tables, *fds)
	}
	for _, c := range []*vfs.FSContext{pctx, cctx} {
		cwd, err := c.Save(s)
		if err != nil {
			t.Fatal(err)
		}
		st.CWDs = append(st.CWDs, *cwd)
	}
	st.VFS, st.Mem = *s.State(), *fs.Save()
	b, err := protostruct.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	parent.CloseAll()
	child.CloseAll()
	pctx.Close()
	cctx.Close()

	st = processes{}
	if err := protostruct.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	if fs, err = memfs.Restore(&st.Mem, memfs.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	ns = vfs.NewNamespace(now)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		t.Fatal(err)
	}
	restorer, err := vfs.NewRestorer(&st.VFS, ns, map[string]vfs.RestoreFunc{pipefs.Kind: pipefs.NewSystem(now, nil).Restore})
	if err != nil {
		t.Fatal(err)
	}
	var tables []*vfs.FDTable
	var cwds []string
	for i := range st.Tables {
		table, err := vfs.RestoreFDTable(&st.Tables[i], restorer)
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
		c, err := vfs.RestoreFSContext(&st.CWDs[i], restorer)
		if err != nil {
			t.Fatal(err)
		}
		cwd, _ := c.Getcwd()
		cwds = append(cwds, cwd)
		c.Close()
	}
	restorer.Close()
	parent, child = tables[0], tables[1]
	want(t, "cwd of the parent", cwds[0], "/dir")
	want(t, "cwd of the child", cwds[1], "/")

	mine, _ := parent.Get(fd, 0)
	theirs, _ := child.Get(fd, 0)
	mine.Write([][]byte{[]byte("1234")})
	at, _ := theirs.Lseek(0, abi.SeekCur)
	want(t, "shared offset", at, 4)
	mine.DecRef()
	theirs.DecRef()
	_, errno = parent.Get(rfd, 0)
	want(t, "the parent's reading end", errno, abi.EBADF)
	end, _ := child.Get(rfd, 0)
	buf := make([]byte, 100)
	n, _ := end.Read([][]byte{buf})
	want(t, "in the pipe", string(buf[:n]), "in the pipe")
	_, errno = end.Read([][]byte{buf})
	want(t, "empty, with a writer", errno, abi.EAGAIN)
	parent.CloseAll()
	n, errno = end.Read([][]byte{buf})
	want(t, "the end", n, 0)
	want(t, "the end", errno, abi.OK)
	end.DecRef()
	child.CloseAll()
}
