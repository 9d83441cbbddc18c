package memfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// tree is a file system with its root directory.
type tree struct {
	*testing.T
	fs     *memfs.FS
	root   vfs.Dir
	budget *vfs.Budget // or nil
}

func newTree(t *testing.T, opts memfs.Options) tree {
	opts.Now = clock()
	fs := memfs.New(opts)
	root, _ := fs.Root()
	return tree{t, fs, root, opts.Budget}
}

func (t tree) open(name string) vfs.Regular {
	t.Helper()
	f, errno := t.root.Open(name, vfs.OpenOptions{Read: true, Write: true, Flags: abi.OCreat})
	if errno != abi.OK {
		t.Fatalf("open %s: %v", name, errno)
	}
	return f.(vfs.Regular)
}

func (t tree) wantUsage(bytes, inodes int64) {
	t.Helper()
	if b, i := t.fs.Usage(); b != bytes || i != inodes {
		t.Errorf("usage is %d bytes, %d inodes, want %d, %d", b, i, bytes, inodes)
	}
	if t.budget != nil && t.budget.Used() != bytes {
		t.Errorf("%d bytes of the budget are taken, want %d", t.budget.Used(), bytes)
	}
}

func (t tree) want(want, got abi.Errno, what string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

const block = 4096

func TestByteQuota(t *testing.T) {
	t.Run("quota", func(t *testing.T) { testBytes(t, memfs.Options{Bytes: 20 * block}) })
	t.Run("budget", func(t *testing.T) { testBytes(t, memfs.Options{Budget: vfs.NewBudget(20 * block)}) })
	t.Run("both", func(t *testing.T) { testBytes(t, memfs.Options{Bytes: 20 * block, Budget: vfs.NewBudget(1 << 30)}) })
}

// A budget is taken by several, and by what is restored.
func TestBudgetIsShared(t *testing.T) {
	budget := vfs.NewBudget(10 * block)
	a, b := newTree(t, memfs.Options{Budget: budget}), newTree(t, memfs.Options{Budget: budget})
	f, g := a.open("f"), b.open("g")
	defer f.Close()
	defer g.Close()
	_, errno := f.WriteAt([][]byte{make([]byte, 7*block)}, 0)
	a.want(abi.OK, errno, "write")
	_, errno = g.WriteAt([][]byte{make([]byte, 4*block)}, 0)
	a.want(abi.ENOSPC, errno, "write more than is left")
	_, errno = g.WriteAt([][]byte{make([]byte, 3*block)}, 0)
	a.want(abi.OK, errno, "write what is left")
	saved := a.fs.Save()
	if _, err := memfs.Restore(saved, memfs.Options{Now: clock(), Budget: vfs.NewBudget(7*block - 1)}); !errors.Is(err, vfs.ErrNoMemory) {
		t.Errorf("restored with too little: %v", err)
	}
	room := vfs.NewBudget(7 * block)
	if _, err := memfs.Restore(saved, memfs.Options{Now: clock(), Budget: room}); err != nil || room.Left() != 0 {
		t.Errorf("restored: %v, %d bytes are left", err, room.Left())
	}
	a.want(abi.OK, f.SetSize(0), "cut")
	if got := budget.Used(); got != 3*block {
		t.Errorf("%d bytes are taken", got)
	}
}

func testBytes(t *testing.T, o memfs.Options) {
	tr := newTree(t, o)
	f := tr.open("file")
	n, errno := f.WriteAt([][]byte{make([]byte, 16*block), make([]byte, 8*block)}, 0)
	if n != 16*block || errno != abi.OK {
		t.Errorf("a write that fits in part: %d, %v", n, errno)
	}
	_, errno = f.WriteAt([][]byte{make([]byte, 8*block)}, 16*block)
	tr.want(abi.ENOSPC, errno, "a write that does not fit")
	tr.want(abi.ENOSPC, f.Allocate(0, 21*block), "allocate")
	tr.wantUsage(16*block, 2)
	tr.want(abi.OK, f.Allocate(16*block, 4*block), "allocate the rest")
	tr.wantUsage(20*block, 2)
	_, errno = f.WriteAt([][]byte{make([]byte, 4*block)}, 16*block)
	tr.want(abi.OK, errno, "write what was allocated")
	tr.want(abi.ENOSPC, tr.root.Symlink(strings.Repeat("x", 100), "long"), "a long link")
	tr.want(abi.OK, tr.root.Symlink("short", "link"), "a short link")
	tr.want(abi.OK, f.SetSize(block+1), "cut")
	tr.wantUsage(2*block, 3)
	tr.want(abi.OK, tr.root.Symlink(strings.Repeat("x", 100), "long"), "a long link")
	tr.wantUsage(3*block, 4)
	tr.want(abi.OK, tr.root.Unlink("long"), "unlink")
	tr.want(abi.OK, tr.root.Unlink("file"), "unlink an open file")
	tr.wantUsage(2*block, 3)
	f.Close()
	tr.wantUsage(0, 2)

	// A hole costs nothing, but a write in each chunk costs a block.
	f = tr.open("sparse")
	tr.want(abi.OK, f.SetSize(1<<40), "the largest size")
	tr.want(abi.EFBIG, f.SetSize(1<<40+1), "one more")
	_, errno = f.WriteAt([][]byte{{1}}, 1<<40)
	tr.want(abi.EFBIG, errno, "write beyond the largest size")
	tr.want(abi.EFBIG, f.Allocate(1<<40, 1), "allocate beyond the largest size")
	tr.wantUsage(0, 3)
	for i := range int64(21) {
		_, errno := f.WriteAt([][]byte{{1}}, i<<30)
		tr.want(map[bool]abi.Errno{true: abi.OK, false: abi.ENOSPC}[i < 20], errno, fmt.Sprint("write ", i))
	}
	f.Close()
}

func TestInodeQuota(t *testing.T) {
	tr := newTree(t, memfs.Options{Inodes: 5}) // one is the root
	for i := range 4 {
		tr.want(abi.OK, tr.root.Mkdir(fmt.Sprint("dir", i)), "mkdir")
	}
	tr.want(abi.ENOSPC, tr.root.Mkdir("one more"), "mkdir")
	_, errno := tr.root.Open("file", vfs.OpenOptions{Flags: abi.OCreat})
	tr.want(abi.ENOSPC, errno, "create")
	tr.want(abi.EEXIST, tr.root.Mkdir("dir0"), "mkdir what is there")
	tr.want(abi.OK, tr.root.Rmdir("dir0"), "rmdir")
	f := tr.open("file")
	tr.want(abi.OK, tr.root.Link("file", tr.root, "name"), "names have the same quota")
	tr.want(abi.ENOSPC, tr.root.Link("file", tr.root, "name2"), "link")
	tr.want(abi.OK, tr.root.Unlink("name"), "unlink")
	tr.want(abi.OK, tr.root.Unlink("file"), "unlink")
	tr.wantUsage(0, 5)
	tr.want(abi.ENOSPC, tr.root.Mkdir("a"), "an open file counts")
	f.Close()
	tr.wantUsage(0, 4)
	tr.want(abi.OK, tr.root.Mkdir("a"), "mkdir")
}

// What was saved stays as it was, and what was restored does not write to it.
func TestSaveIsACopy(t *testing.T) {
	tr := newTree(t, memfs.Options{})
	f := tr.open("file")
	f.WriteAt([][]byte{bytes.Repeat([]byte("x"), 100_000)}, 0)
	s := tr.fs.Save()
	before, _ := protostruct.Marshal(s)

	f.WriteAt([][]byte{[]byte("changed")}, 50_000)
	f.Append([][]byte{make([]byte, 50_000)})
	f.SetSize(10)
	f.SetSize(20)

	other, err := memfs.Restore(s, memfs.Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := other.Root()
	g := tree{t, other, root, nil}.open("file")
	b := make([]byte, 8)
	g.ReadAt([][]byte{b}, 50_000)
	if string(b) != "xxxxxxxx" {
		t.Errorf("restored %q", b)
	}
	g.WriteAt([][]byte{[]byte("other")}, 99_999)
	g.SetSize(10)
	if after, _ := protostruct.Marshal(s); !bytes.Equal(after, before) {
		t.Error("the state has changed")
	}
	f.ReadAt([][]byte{b}, 8)
	if string(b) != "xx\x00\x00\x00\x00\x00\x00" {
		t.Errorf("the live file holds %q", b)
	}
}

func TestRestoreHostile(t *testing.T) {
	type (
		nodes   = []memfs.NodeState
		node    = memfs.NodeState
		entry   = memfs.EntryState
		extents = []memfs.Extent
	)
	root := node{Ino: 1, Filetype: abi.FiletypeDirectory}
	dir := func(change func(d *node)) nodes { d := root; change(&d); return nodes{d} }
	file := func(f node) nodes { f.Ino, f.Filetype = 2, abi.FiletypeRegularFile; return nodes{root, f} }
	extent := func(size, off int64, n int) nodes {
		return file(node{Size: size, Extents: extents{{Off: off, Data: make([]byte, n)}}})
	}
	names := func(entries ...entry) nodes {
		d := root
		d.LastSeq, d.Entries = 9, entries
		return nodes{d, {Ino: 2, Filetype: abi.FiletypeRegularFile}, {Ino: 3, Filetype: abi.FiletypeDirectory}}
	}
	link := func(target string) nodes { return nodes{{Ino: 1, Filetype: abi.FiletypeSymbolicLink, Target: target}} }
	below := func(ino uint64, more ...node) nodes {
		return append(nodes{root, {Ino: 2, Filetype: abi.FiletypeDirectory, LastSeq: 3, Entries: []entry{{Name: "a", Ino: ino, Seq: 3}}}}, more...)
	}
	good := memfs.State{Bytes: 1 << 20, Inodes: 100, LastIno: 9, Root: 1}
	with := func(change func(s *memfs.State)) memfs.State { s := good; change(&s); return s }
	for _, c := range []struct {
		head  memfs.State
		nodes nodes
		text  string
	}{
		{good, nil, "root inode 1 is not a directory"},
		{with(func(s *memfs.State) { s.Root = 2 }), file(node{}), "root inode 2 is not a directory"},
		{with(func(s *memfs.State) { s.Bytes = -1 }), nodes{root}, "quota of -1 bytes"},
		{with(func(s *memfs.State) { s.Inodes = -1 << 63 }), nodes{root}, "-9223372036854775808 inodes"},
		{with(func(s *memfs.State) { s.Inodes = 1 }), file(node{}), "1 inodes, 2 in use"},
		{with(func(s *memfs.State) { s.LastIno = 1<<62 + 1 }), nodes{root}, "4611686018427387905 inodes given out"},
		{good, nodes{root, root}, "inode 1: is there twice"},
		{good, nodes{{Ino: 10, Filetype: abi.FiletypeDirectory}}, "inode 10: is there twice, or is not among the 9"},
		{good, nodes{{Ino: 0, Filetype: abi.FiletypeDirectory}}, "inode 0"},
		{good, nodes{{Ino: 1, Filetype: abi.FiletypeCharacterDevice}}, "inode 1: is a character device"},
		{good, dir(func(d *node) { d.Mtim = -1 }), "times 0, -1, 0"},
		{good, dir(func(d *node) { d.Size = 1 }), "a directory with the content of something else"},
		{good, file(node{Entries: []entry{{}}}), "inode 2: a regular file with the content"},
		{good, link(""), "target of 0 bytes"},
		{good, link("a\x00"), "target of 2 bytes"},
		{good, file(node{Size: -1}), "inode 2: size -1"},
		{good, file(node{Size: 1<<40 + 1}), "size 1099511627777"},
		{good, file(node{Size: 1<<63 - 1}), "size 9223372036854775807"},
		{good, extent(1, 0, 1), "extent of 1 bytes at 0"},
		{good, extent(1, 0, 0), "extent of 0 bytes"},
		{good, extent(9, 4096, 4096), "at 4096"},
		{good, extent(9, -65536, 4096), "at -65536"},
		{good, extent(9, 0, 69632), "extent of 69632 bytes"},
		{good, extent(65536, 65536, 4096), "in a file of 65536"},
		{with(func(s *memfs.State) { s.Bytes = 4096 }), extent(9, 0, 8192), "over the quota of 4096"},
		{good, names(entry{"a", 7, 3}), `directory 1: "a": inode 7 is not there`},
		{good, names(entry{"..", 2, 3}), `name ".."`},
		{good, names(entry{"a/b", 2, 3}), `name "a/b"`},
		{good, names(entry{"\xff", 2, 3}), `name "\xff"`},
		{good, names(entry{"", 2, 3}), `name ""`},
		{good, names(entry{"a", 2, 2}), "number 2 after 2"},
		{good, names(entry{"a", 2, 10}), "number 10"},
		{good, names(entry{"a", 2, 4}, entry{"b", 2, 4}), "number 4 after 4"},
		{good, names(entry{"a", 2, 4}, entry{"a", 2, 5}), `"a" is there twice`},
		{good, names(entry{"a", 3, 4}, entry{"b", 3, 5}), "inode 3 has too many names"},
		{good, names(entry{"a", 1, 4}), "root inode 1 is not a directory on its own"},
		{good, below(2), "ring"},
		{good, below(3, node{Ino: 3, Filetype: abi.FiletypeRegularFile}), "removed but is not empty"},
		{good, dir(func(d *node) { d.LastSeq = 1<<62 + 1 }), "entry number"},
	} {
		s := c.head
		s.Nodes = c.nodes
		_, err := memfs.Restore(&s, memfs.Options{Now: clock()})
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %q in it", s.Root, err, c.text)
		}
	}
}

// Bytes beyond the end of a file are not seen when it grows, also if a made-up
// state has some.
func TestRestoreWipesTail(t *testing.T) {
	s := &memfs.State{Bytes: 1 << 20, Inodes: 9, LastIno: 2, Root: 1, Nodes: []memfs.NodeState{
		{Ino: 1, Filetype: abi.FiletypeDirectory, LastSeq: 3, Entries: []memfs.EntryState{{Name: "f", Ino: 2, Seq: 3}}},
		{Ino: 2, Filetype: abi.FiletypeRegularFile, Size: 2, Extents: []memfs.Extent{{Data: bytes.Repeat([]byte("x"), block)}}},
	}}
	fs, err := memfs.Restore(s, memfs.Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := fs.Root()
	f := tree{t, fs, root, nil}.open("f")
	f.SetSize(4)
	b := make([]byte, 9)
	if n, _ := f.ReadAt([][]byte{b}, 0); string(b[:n]) != "xx\x00\x00" {
		t.Errorf("read %q", b[:n])
	}
	if s.Nodes[1].Extents[0].Data[2] != 'x' {
		t.Error("the state was written to")
	}
	if _, err := fs.RestoreFile(nil, []byte("{")); err == nil || errors.Is(err, abi.ENOENT) {
		t.Errorf("restore of a broken file: %v", err)
	}
}
