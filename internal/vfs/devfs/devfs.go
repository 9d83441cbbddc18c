// Package devfs is /dev: null, zero, full, random, urandom, the process's
// terminal, ptys, and links to its open files. Terminals and random bytes are
// handed in.
//
// Shm is a directory to mount a file system in memory on. Fd, stdin, stdout and
// stderr lead to /proc/self/fd.
package devfs

import (
	"sort"
	"strconv"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Type is what FileSystem.Type returns.
const Type = "devfs"

// Options set up the tree.
type Options struct {
	Time int64  // of all that is in it, ns since 1970
	Dev  uint64 // device number that stat tells

	// Random fills a slice with random bytes; needed.
	Random func([]byte)

	// TTY returns the controlling terminal of a process, or nil; nil is none for
	// all.
	TTY func(pid uint32) *ttyfs.Terminal

	// Ptys are what ptmx makes and pts shows; nil is none.
	Ptys *ttyfs.Ptys
}

// Inode numbers. A pty's is above firstPts.
const (
	inoRoot = iota + 1
	inoPts
	inoShm
	inoFirst
	firstPts = 1 << 16
)

// New returns the tree.
func New(o Options) *pseudofs.FS {
	root := &tree{opts: o}
	ino := uint64(inoFirst)
	add := func(name string, n *pseudofs.Node) {
		n.Ino = ino
		ino++
		root.static = append(root.static, pseudofs.Named{Name: name, Node: n})
	}
	for _, d := range []struct {
		name string
		read func([]byte)
		full bool
	}{
		{"null", nil, false},
		{"zero", func(b []byte) { clear(b) }, false},
		{"full", func(b []byte) { clear(b) }, true},
		{"random", o.Random, false},
		{"urandom", o.Random, false},
	} {
		add(d.name, &pseudofs.Node{Type: abi.FiletypeCharacterDevice, Open: func(vfs.OpenOptions) (vfs.File, abi.Errno) {
			return &device{read: d.read, full: d.full}, abi.OK
		}})
	}
	for _, l := range [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}} {
		add(l[0], &pseudofs.Node{Type: abi.FiletypeSymbolicLink, Link: func() (string, abi.Errno) { return l[1], abi.OK }})
	}
	root.static = append(root.static,
		pseudofs.Named{Name: "shm", Node: &pseudofs.Node{Ino: inoShm, Type: abi.FiletypeDirectory, Dir: pseudofs.Static{}}})
	if o.Ptys != nil {
		add("ptmx", &pseudofs.Node{Type: abi.FiletypeCharacterDevice, Open: func(vfs.OpenOptions) (vfs.File, abi.Errno) {
			f, _, errno := o.Ptys.New()
			return f, errno
		}})
		root.static = append(root.static,
			pseudofs.Named{Name: "pts", Node: &pseudofs.Node{Ino: inoPts, Type: abi.FiletypeDirectory, Dir: pts{o.Ptys}}})
	}
	root.ttyIno = ino
	return pseudofs.New(Type, o.Dev, o.Time, &pseudofs.Node{Ino: inoRoot, Type: abi.FiletypeDirectory, Dir: root})
}

// tree is the root: what is static, and tty, which is another's for each.
type tree struct {
	opts   Options
	static pseudofs.Static
	ttyIno uint64
}

// Lookup is pseudofs.Dir's. There is a tty for all; who has none cannot open it
// (ENXIO).
func (t *tree) Lookup(caller uint32, name string) (*pseudofs.Node, abi.Errno) {
	if name != "tty" {
		return t.static.Lookup(caller, name)
	}
	return &pseudofs.Node{Ino: t.ttyIno, Type: abi.FiletypeCharacterDevice, Open: func(vfs.OpenOptions) (vfs.File, abi.Errno) {
		if t.opts.TTY == nil {
			return nil, abi.ENXIO
		}
		term := t.opts.TTY(caller)
		if term == nil {
			return nil, abi.ENXIO
		}
		return term.Open(), abi.OK
	}}, abi.OK
}

// List is pseudofs.Dir's.
func (t *tree) List(caller uint32) []pseudofs.Entry {
	list := t.static.List(caller)
	return append(list, pseudofs.Entry{Name: "tty", Key: uint64(len(list)), Ino: t.ttyIno, Type: abi.FiletypeCharacterDevice})
}

// pts is the directory of ptys.
type pts struct {
	ptys *ttyfs.Ptys
}

// Lookup is pseudofs.Dir's.
func (p pts) Lookup(_ uint32, name string) (*pseudofs.Node, abi.Errno) {
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return nil, abi.ENOENT
	}
	t := p.ptys.Get(n)
	if t == nil {
		return nil, abi.ENOENT
	}
	return &pseudofs.Node{Ino: firstPts + uint64(n), Type: abi.FiletypeCharacterDevice, Open: func(vfs.OpenOptions) (vfs.File, abi.Errno) {
		return t.Open(), abi.OK
	}}, abi.OK
}

// List is pseudofs.Dir's.
func (p pts) List(uint32) []pseudofs.Entry {
	var out []pseudofs.Entry
	for _, n := range p.ptys.Numbers() {
		out = append(out, pseudofs.Entry{Name: strconv.Itoa(n), Key: uint64(n), Ino: firstPts + uint64(n), Type: abi.FiletypeCharacterDevice})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// device is an open null, zero, full, random or urandom.
type device struct {
	waiter.AlwaysReady
	read func([]byte) // nil is the end
	full bool         // writes give ENOSPC
}

var _ vfs.Seeker = (*device)(nil)

// maxRead is how much one read gives: a guest that asks for more must not keep
// its task from a stop.
const maxRead = 1 << 20

// Read is vfs.Stream's.
func (d *device) Read(bufs [][]byte) (n int, errno abi.Errno) {
	if d.read == nil {
		return 0, abi.OK
	}
	for _, b := range bufs {
		b = b[:min(len(b), maxRead-n)]
		d.read(b)
		n += len(b)
	}
	return n, abi.OK
}

// Write is vfs.Stream's.
func (d *device) Write(bufs [][]byte) (n int, errno abi.Errno) {
	for _, b := range bufs {
		n += len(b)
	}
	if d.full && n > 0 {
		return 0, abi.ENOSPC
	}
	return n, abi.OK
}

// Lseek is vfs.Seeker's: there is one position, as on Linux.
func (d *device) Lseek(_ int64, whence abi.Whence) (int64, abi.Errno) {
	if whence > abi.SeekEnd {
		return 0, abi.EINVAL
	}
	return 0, abi.OK
}

// Stat, Save and Close are vfs.File's; the tree does the first two.

func (d *device) Stat() (abi.Filestat, abi.Errno)          { return abi.Filestat{}, abi.OK }
func (d *device) Save(*vfs.Saver) (vfs.ObjectState, error) { return vfs.ObjectState{}, nil }
func (d *device) Close()                                   {}
