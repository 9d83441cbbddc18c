package memfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

// lowerOnly is a lower that must not be written to.
type lowerOnly struct {
	vfs.FileSystem
}

func hostDir(t *testing.T, host string) *hostfs.FS {
	t.Helper()
	fs, err := hostfs.Open(host, hostfs.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fs.Close)
	return fs
}

// reopened takes an FS over lower through bytes.
func reopened(t *testing.T, fs *memfs.FS, now func() int64, lower vfs.FileSystem) func() vfs.FileSystem {
	t.Helper()
	b, err := protostruct.Marshal(fs.Save())
	if err != nil {
		t.Fatal(err)
	}
	return func() vfs.FileSystem {
		var s memfs.State
		if err := protostruct.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		fs, err := memfs.Restore(&s, memfs.Options{Now: now, Lower: lower})
		if err != nil {
			t.Fatal(err)
		}
		return fs
	}
}

// The suite, over an empty host directory and over an empty tree in memory.
func TestOverlaySuite(t *testing.T) {
	for _, name := range []string{"host", "memory"} {
		t.Run(name, func(t *testing.T) {
			var now func() int64
			var lower vfs.FileSystem
			vfstest.TestFileSystem(t, vfstest.Config{
				Mode: vfstest.UnlinkedDirs | vfstest.StableInodes,
				New: func(t *testing.T) vfs.FileSystem {
					now = clock()
					if lower = memfs.New(memfs.Options{Now: func() int64 { return 1 }}); name == "host" {
						lower = hostDir(t, t.TempDir())
					}
					return memfs.New(memfs.Options{Now: now, Dev: 7, Lower: lower})
				},
				Save: func(t *testing.T, fs vfs.FileSystem) func() vfs.FileSystem {
					return reopened(t, fs.(*memfs.FS), now, lower)
				},
			})
		})
	}
}

// A treeGuest is what a process has of a file system.
type treeGuest struct {
	t     *testing.T
	fs    *memfs.FS
	ns    *vfs.Namespace
	ctx   *vfs.FSContext
	files []*vfs.OpenFile
}

func newTreeGuest(t *testing.T, fs *memfs.FS) *treeGuest {
	t.Helper()
	g := &treeGuest{t: t, fs: fs, ns: vfs.NewNamespace(func() int64 { return 5e9 })}
	if err := g.ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.ctx, err = vfs.NewFSContext(g.ns, "/"); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *treeGuest) close() {
	g.ctx.Close()
	for _, f := range g.files {
		f.DecRef()
	}
	g.files = nil
}

// put makes a file.
func (g *treeGuest) put(p, content string) {
	g.t.Helper()
	f, errno := g.ctx.OpenAt(nil, p, 0, abi.OCreat|abi.OTrunc, false, true, 0)
	if errno != abi.OK {
		g.t.Fatalf("put %s: %v", p, errno)
	}
	f.Write([][]byte{[]byte(content)})
	f.DecRef()
}

func (g *treeGuest) content(p string) string {
	f, errno := g.ctx.OpenAt(nil, p, abi.SymlinkFollow, 0, true, false, 0)
	if errno != abi.OK {
		return errno.Error()
	}
	defer f.DecRef()
	return contentOf(f)
}

func contentOf(f *vfs.OpenFile) string {
	b := make([]byte, 1<<17)
	n, errno := f.ReadAt([][]byte{b}, 0)
	if errno != abi.OK {
		return errno.Error()
	}
	return string(b[:n])
}

// tree describes all below p.
func (g *treeGuest) tree(p string) string {
	f, errno := g.ctx.OpenAt(nil, p, 0, abi.ODirectory, true, false, 0)
	if errno != abi.OK {
		return p + ": " + errno.Error()
	}
	defer f.DecRef()
	var entries []vfs.Dirent
	f.ReadDir(0, func(e vfs.Dirent) bool { entries = append(entries, e); return true })
	slices.SortFunc(entries, func(a, b vfs.Dirent) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, e := range entries {
		if e.Name == "." || e.Name == ".." {
			continue
		}
		at := strings.TrimSuffix(p, "/") + "/" + e.Name
		st, errno := g.ctx.StatAt(nil, at, 0)
		if st.Ino != e.Ino {
			g.t.Errorf("%s is listed as inode %d, stat tells %d", at, e.Ino, st.Ino)
		}
		fmt.Fprintf(&b, "%s %v %v", at, e.Filetype, errno)
		switch e.Filetype {
		case abi.FiletypeRegularFile:
			fmt.Fprintf(&b, " %d %d %.40q\n", st.Nlink, st.Size, g.content(at))
		case abi.FiletypeSymbolicLink:
			to, _ := g.ctx.ReadlinkAt(nil, at)
			fmt.Fprintf(&b, " %s\n", to)
		case abi.FiletypeDirectory:
			fmt.Fprintf(&b, "\n%s", g.tree(at))
		}
	}
	return b.String()
}

// populate makes a tree.
func populate(g *treeGuest) {
	for _, d := range []string{"/a", "/a/b", "/a/b/c", "/d", "/e"} {
		g.ctx.MkdirAt(nil, d)
	}
	for i, f := range []string{"/f", "/a/f", "/a/g", "/a/b/f", "/a/b/c/g", "/d/f", "/d/g"} {
		g.put(f, strings.Repeat(f, 1+i*i*3000))
	}
	g.ctx.SymlinkAt("/a/b", nil, "/l")
	g.ctx.SymlinkAt("f", nil, "/d/l")
}

// step does one random thing, and tells what came of it.
func (g *treeGuest) step(rnd *rand.Rand) string {
	name := func() string {
		p := ""
		for range 1 + rnd.IntN(3) {
			p += "/" + string("abcdefgl"[rnd.IntN(8)])
		}
		return p
	}
	p, q := name(), name()
	switch rnd.IntN(12) {
	case 0:
		return fmt.Sprint("mkdir ", p, g.ctx.MkdirAt(nil, p))
	case 1:
		return fmt.Sprint("rmdir ", p, g.ctx.RmdirAt(nil, p))
	case 2:
		return fmt.Sprint("unlink ", p, g.ctx.UnlinkAt(nil, p))
	case 3, 4:
		return fmt.Sprint("rename ", p, " ", q, g.ctx.RenameAt(nil, p, nil, q))
	case 5:
		return fmt.Sprint("link ", p, " ", q, g.ctx.LinkAt(nil, p, 0, nil, q))
	case 6:
		return fmt.Sprint("symlink ", p, g.ctx.SymlinkAt(q, nil, p))
	case 7:
		return fmt.Sprint("read ", p, g.content(p))
	case 8:
		errno := g.ctx.SetTimesAt(nil, p, 0, 7e9, 9e9, abi.FstAtim|abi.FstMtim)
		st, _ := g.ctx.StatAt(nil, p, 0)
		if errno == abi.OK && (st.Atim != 7e9 || st.Mtim != 9e9) {
			g.t.Errorf("times of %s: %d, %d", p, st.Atim, st.Mtim)
		}
		return fmt.Sprint("times ", p, errno)
	default:
		flags := abi.OFlags(rnd.IntN(4))
		if flags&abi.ODirectory != 0 {
			flags = abi.OCreat | abi.OTrunc
		}
		write, hold := rnd.IntN(2) == 0, rnd.IntN(3) == 0
		appends := abi.FDFlags(rnd.IntN(2)) * abi.FDAppend
		off, n := uint64(rnd.IntN(200_000)), rnd.IntN(100)
		f, errno := g.ctx.OpenAt(nil, p, abi.SymlinkFollow, flags, true, write, appends)
		what := fmt.Sprint("open ", p, flags, write, errno)
		if errno != abi.OK {
			return what
		}
		if _, dir := f.File().(vfs.Directory); !dir {
			what += contentOf(f)
			if write {
				f.Write([][]byte{[]byte(strings.Repeat("w", n))})
				if n%3 == 0 {
					f.WriteAt([][]byte{[]byte("x")}, off)
				}
				if n%5 == 0 {
					f.SetSize(off)
				}
			}
		}
		if !hold || len(g.files) > 20 {
			f.DecRef()
		} else {
			g.files = append(g.files, f)
		}
		return what
	}
}

// restored saves everything and makes it again.
func (g *treeGuest) restored(lower vfs.FileSystem) *treeGuest {
	g.t.Helper()
	s := vfs.NewSaver(g.ns)
	for _, f := range g.files {
		if _, err := s.File(f); err != nil {
			g.t.Fatal(err)
		}
	}
	n := len(g.files)
	again := reopened(g.t, g.fs, func() int64 { return 5e9 }, lower)
	g.close()
	h := newTreeGuest(g.t, again().(*memfs.FS))
	r, err := vfs.NewRestorer(s.State(), h.ns, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Close()
	for i := range n {
		f, err := r.File(vfs.FileID(i))
		if err != nil {
			g.t.Fatal(err)
		}
		h.files = append(h.files, f)
	}
	return h
}

// Whatever is done, a tree that lies over another looks like one that was copied
// from it, also after restores, and the lower stays as it is.
func TestOverlayModel(t *testing.T) {
	now := func() int64 { return 5e9 }
	runs := 24
	if testing.Short() {
		runs = 9
	}
	for run := range runs {
		var lower vfs.FileSystem
		if run%3 == 0 {
			host := t.TempDir()
			writable, err := hostfs.Open(host, hostfs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ns := vfs.NewNamespace(now)
			if err := ns.Mount(vfs.Mount{Guest: "/", FS: writable}); err != nil {
				t.Fatal(err)
			}
			ctx, err := vfs.NewFSContext(ns, "/")
			if err != nil {
				t.Fatal(err)
			}
			populate(&treeGuest{t: t, ns: ns, ctx: ctx})
			ctx.Close()
			writable.Close()
			lower = hostDir(t, host)
		} else {
			fs := memfs.New(memfs.Options{Now: now})
			g := newTreeGuest(t, fs)
			populate(g)
			g.close()
			lower = lowerOnly{fs}
		}
		plain := newTreeGuest(t, memfs.New(memfs.Options{Now: now}))
		populate(plain)
		pristine := plain.tree("/")
		over := newTreeGuest(t, memfs.New(memfs.Options{Now: now, Lower: lower}))
		rnd := rand.New(rand.NewPCG(uint64(run), 9))
		var log []string
		for i := range 150 {
			seed := rnd.Uint64()
			a := plain.step(rand.New(rand.NewPCG(seed, 1)))
			b := over.step(rand.New(rand.NewPCG(seed, 1)))
			log = append(log, fmt.Sprintf("%.80s", a))
			if a != b {
				t.Fatalf("run %d: %.200q, copied %.200q; after\n%s", run, b, a, strings.Join(log, "\n"))
			}
			if rnd.IntN(30) == 0 {
				plain, over = plain.restored(nil), over.restored(lower)
				log = append(log, "restore")
			}
			for i := range plain.files {
				x, y := plain.files[i], over.files[i]
				s, _ := x.Stat()
				u, _ := y.Stat()
				if s.Size != u.Size || contentOf(x) != contentOf(y) || s.Filetype == abi.FiletypeRegularFile && s.Nlink != u.Nlink {
					t.Fatalf("run %d: open file %d is %+v, copied %+v; after\n%s", run, i, u, s, strings.Join(log, "\n"))
				}
			}
			if i%10 == 9 {
				if a, b := plain.tree("/"), over.tree("/"); a != b {
					t.Fatalf("run %d: after\n%s\nthere is\n%s\ncopied\n%s", run, strings.Join(log, "\n"), b, a)
				}
			}
		}
		bytes, inodes := over.fs.Usage()
		most, all := plain.fs.Usage()
		if bytes > most || inodes > all {
			t.Errorf("takes %d bytes and %d inodes; copied, %d and %d", bytes, inodes, most, all)
		}
		over.close()
		plain.close()
		under := newTreeGuest(t, memfs.New(memfs.Options{Now: now, Lower: lower}))
		if got := under.tree("/"); got != pristine {
			t.Errorf("run %d: the lower was changed to\n%s\nwas\n%s", run, got, pristine)
		}
		under.close()
	}
}

// Two who copy one file up at once, and one who cuts it, do not lose writes.
func TestCopyUpRace(t *testing.T) {
	now := func() int64 { return 5e9 }
	base := memfs.New(memfs.Options{Now: now})
	g := newTreeGuest(t, base)
	g.put("/f", strings.Repeat("0", 1<<20))
	g.close()
	for range 20 {
		over := newTreeGuest(t, memfs.New(memfs.Options{Now: now, Lower: base}))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				f, errno := over.ctx.OpenAt(nil, "/f", 0, 0, true, true, 0)
				if errno != abi.OK {
					t.Error(errno)
					return
				}
				defer f.DecRef()
				f.WriteAt([][]byte{{byte('a' + i)}}, uint64(i))
			})
		}
		wg.Wait()
		if got := over.content("/f")[:5]; got != "abcd0" {
			t.Fatalf("holds %q", got)
		}
		over.close()
	}
}

// What is copied up counts against the quota, and fails whole.
func TestCopyUpNoSpace(t *testing.T) {
	now := func() int64 { return 5e9 }
	base := memfs.New(memfs.Options{Now: now})
	g := newTreeGuest(t, base)
	g.put("/f", strings.Repeat("0", 1<<20))
	g.close()
	over := newTreeGuest(t, memfs.New(memfs.Options{Now: now, Lower: base, Bytes: 512 << 10}))
	defer over.close()
	if _, errno := over.ctx.OpenAt(nil, "/f", 0, 0, true, true, 0); errno != abi.ENOSPC {
		t.Errorf("open for writing: %v, want ENOSPC", errno)
	}
	if bytes, inodes := over.fs.Usage(); bytes != 0 || inodes != 0 {
		t.Errorf("%d bytes and %d inodes are taken", bytes, inodes)
	}
	if got := over.content("/f"); len(got) != 1<<17 {
		t.Errorf("%d bytes can be read", len(got))
	}
	f, errno := over.ctx.OpenAt(nil, "/f", 0, abi.OTrunc, true, true, 0)
	if errno != abi.OK {
		t.Fatalf("cutting copies nothing: %v", errno)
	}
	f.DecRef()
}

// An open file of a host directory below is restored by that one's policy.
func TestOverlayPolicy(t *testing.T) {
	now := func() int64 { return 5e9 }
	host := t.TempDir()
	file := filepath.Join(host, "f")
	if err := os.WriteFile(file, []byte("before"), 0o666); err != nil {
		t.Fatal(err)
	}
	g := newTreeGuest(t, memfs.New(memfs.Options{Now: now, Lower: hostDir(t, host)}))
	f, errno := g.ctx.OpenAt(nil, "/f", 0, 0, true, false, 0)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	s := vfs.NewSaver(g.ns)
	if _, err := s.File(f); err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[hostfs.Policy]string{hostfs.Reopen: "", hostfs.Strict: "f"} {
		lower, err := hostfs.Open(host, hostfs.Options{ReadOnly: true, Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(lower.Close)
		h := newTreeGuest(t, reopened(t, g.fs, now, lower)().(*memfs.FS))
		if err := os.WriteFile(file, []byte("something else"), 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := vfs.NewRestorer(s.State(), h.ns, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.File(0)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("policy %v: %v", policy, err)
		}
		if err == nil {
			again.DecRef()
		}
		r.Close()
		h.close()
	}
	f.DecRef()
	g.close()
}

func TestRestoreOverHostile(t *testing.T) {
	now := func() int64 { return 5e9 }
	base := memfs.New(memfs.Options{Now: now})
	good := func() *memfs.State {
		return &memfs.State{Bytes: 1 << 20, Inodes: 9, LastIno: 3, Root: 1, Lower: "memfs", Nodes: []memfs.NodeState{
			{Ino: 1, Filetype: abi.FiletypeDirectory, LastSeq: 3, Origin: &memfs.OriginState{}, Entries: []memfs.EntryState{{Name: "f", Ino: 2, Seq: 3}}},
			{Ino: 2, Filetype: abi.FiletypeRegularFile, Origin: &memfs.OriginState{Path: "f"}},
		}}
	}
	if _, err := memfs.Restore(good(), memfs.Options{Now: now, Lower: base}); err != nil {
		t.Fatal(err)
	}
	var missing *vfs.MissingError
	if _, err := memfs.Restore(good(), memfs.Options{Now: now}); !errors.As(err, &missing) {
		t.Errorf("without the lower: %v", err)
	}
	for name, change := range map[string]func(*memfs.State){
		"up":            func(s *memfs.State) { s.Nodes[1].Origin.Path = "../f" },
		"absolute":      func(s *memfs.State) { s.Nodes[1].Origin.Path = "/f" },
		"slash":         func(s *memfs.State) { s.Nodes[1].Origin.Path = "f/" },
		"the root":      func(s *memfs.State) { s.Nodes[1].Origin.Path = "" },
		"loaded":        func(s *memfs.State) { s.Nodes[1].Origin.Loaded = true },
		"long":          func(s *memfs.State) { s.Nodes[1].Origin.Path = strings.Repeat("a/", 1<<16) + "a" },
		"another lower": func(s *memfs.State) { s.Lower = "hostfs" },
		"no lower":      func(s *memfs.State) { s.Lower = "" },
		"content": func(s *memfs.State) {
			s.Nodes[1].Size, s.Nodes[1].Extents = 1, []memfs.Extent{{Data: make([]byte, 4096)}}
		},
	} {
		s := good()
		change(s)
		if _, err := memfs.Restore(s, memfs.Options{Now: now, Lower: base}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// A file that is open for writing all the same is copied up when it is written.
	fs, err := memfs.Restore(good(), memfs.Options{Now: now, Lower: base})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.RestoreFile(nil, nil); err == nil {
		t.Error("an open file of nothing: no error")
	}
	list := []memfs.MountState{{Guest: "/", FS: good()}}
	if _, err := memfs.RestoreMounts(list, memfs.Options{Now: now}); !errors.As(err, &missing) || missing.Name != "/" {
		t.Errorf("mounts without the lower: %v", err)
	}
	if _, err := memfs.RestoreMountsOver(list, memfs.Options{Now: now}, func(string) vfs.FileSystem { return base }); err != nil {
		t.Error(err)
	}
}
