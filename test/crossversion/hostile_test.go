package crossversion

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// These tests write images that are consistent in themselves (sizes and sums
// are right) and hold what nobody can have saved. A restore has to refuse them
// before any code of the guest runs, and may not take much memory to do so.

// A forgery is an image in parts.
type forgery struct {
	dir    string // of the case
	wake   Wake
	state  *checkpoint.State
	bytes  []byte // in place of state, if not nil
	extra  []byte // appended to the state's bytes
	module []byte // nil if the image is thin
	memory []byte
}

// open takes the image of the case in dir apart.
func openForgery(t testing.TB, name string) *forgery {
	t.Helper()
	f := &forgery{dir: filepath.Join(t.TempDir(), "case")}
	err := Copy(f.dir, filepath.Join("v1", name))
	if err != nil {
		t.Fatal(err)
	}
	if f.wake, _, err = ReadWake(f.dir); err != nil {
		t.Fatal(err)
	}
	im, st, err := Open(filepath.Join(f.dir, imageDir))
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	f.state = st
	f.memory = make([]byte, im.Config().Memories[0].Size)
	err = im.FillMemory(0, f.memory)
	if !f.wake.Thin && err == nil {
		f.module, err = checkpoint.ModuleOf(im, st)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write puts the parts together again.
func (f *forgery) write() error {
	dir := filepath.Join(f.dir, imageDir)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	d, err := image.Create(image.OS, dir)
	if err != nil {
		return err
	}
	w := image.NewWriter(d.File)
	defer w.Close()
	b := f.bytes
	if b == nil {
		b, err = protostruct.Marshal(f.state)
	}
	if err == nil {
		err = w.State(append(b, f.extra...))
	}
	c := image.Config{Created: time.Unix(1, 0).UTC(), Processes: 1}
	if err == nil && f.module != nil {
		err = w.Module(digestOf(f.module), f.module)
	} else if err == nil {
		digest := f.state.Kernel.Processes[0].Module
		c.Requires = []string{image.FeatureThin}
		c.Modules = []image.ModuleInfo{{Digest: hex.EncodeToString(digest[:]), Size: 1}}
	}
	if err == nil {
		err = w.Memory(0, f.memory)
	}
	if err == nil {
		_, err = w.Finish(c)
	}
	if err == nil {
		return d.Publish()
	}
	return errors.Join(err, d.Abort())
}

// restore builds the system, which does not run, and returns what has been
// written by a guest nevertheless.
func (f *forgery) restore(ctx context.Context) (m *machine, out string, err error) {
	if err := f.write(); err != nil {
		return nil, "", err
	}
	m, err = f.wake.boot(ctx, f.dir)
	return m, m.output(), err
}

func process(f *forgery) *kernel.ProcessState { return &f.state.Kernel.Processes[0] }
func task(f *forgery) *kernel.TaskState       { return &process(f).Tasks[0] }
func state(f *forgery) *engine.State          { return task(f).Thread }
func last(f *forgery) *engine.Frame           { return &state(f).Frames[len(state(f).Frames)-1] }
func root(f *forgery) *memfs.State            { return f.state.Mounts[0].FS }

// node finds an inode of a type.
func node(f *forgery, typ abi.Filetype, i int) *memfs.NodeState {
	for j := range root(f).Nodes {
		if n := &root(f).Nodes[j]; n.Filetype == typ {
			if i--; i < 0 {
				return n
			}
		}
	}
	panic("no such inode")
}

// edited has the data of an object changed.
func edited[T any](o *vfs.ObjectState, edit func(*T)) {
	v := new(T)
	if err := protostruct.Unmarshal(o.Data, v); err != nil {
		panic(err)
	}
	edit(v)
	b, err := protostruct.Marshal(v)
	if err != nil {
		panic(err)
	}
	o.Data = b
}

func tty(edit func(s *ttyfs.State)) func(*forgery) {
	return func(f *forgery) { edited(&f.state.Files.Objects[0], edit) }
}

var hostile = []struct {
	on, what string
	edit     func(f *forgery)
	err      string // part of it; "" is an image that is good
}{
	{"deep", "nothing", func(f *forgery) {}, ""},
	{"deep", "a field of the state that a later version has", func(f *forgery) { f.extra = []byte{0xfa, 0x07, 3, 'n', 'e', 'w'} }, ""},

	// Frames.
	{"deep", "a frame of an import", func(f *forgery) { last(f).Func = 0 }, "not defined by the module"},
	{"deep", "a frame of no function", func(f *forgery) { last(f).Func = 1000 }, "not defined by the module"},
	{"deep", "a frame of function 2^32-1", func(f *forgery) { last(f).Func = math.MaxUint32 }, "not defined by the module"},
	{"deep", "a frame of another function", func(f *forgery) { last(f).Func++ }, "position"},
	{"deep", "a position between two", func(f *forgery) { last(f).Pos++ }, "position"},
	{"deep", "a position beyond the function", func(f *forgery) { last(f).Pos = math.MaxUint32 }, "position"},
	{"deep", "an entry where none is", func(f *forgery) { last(f).Pos = 0 }, "frame"},
	{"deep", "a value less", func(f *forgery) { fr := frame(f, 500); fr.Values = fr.Values[1:] }, "frame 500"},
	{"deep", "a value twice", func(f *forgery) { fr := frame(f, 500); fr.Values = append(fr.Values, fr.Values[0]) }, "frame 500"},
	{"deep", "a value of another type", func(f *forgery) { frame(f, 500).Values[0].Value.Type = wasm.V128 }, "frame 500"},
	{"deep", "a value of no type", func(f *forgery) { frame(f, 500).Values[0].Value.Type = 3 }, "frame 500"},
	{"deep", "a local of no number", func(f *forgery) { frame(f, 500).Values[0].Index = math.MaxUint32 }, "frame 500"},
	{"deep", "a local that is an operand", func(f *forgery) { v := &frame(f, 500).Values[0]; v.Operand = !v.Operand }, "frame 500"},
	{"deep", "frames upside down", func(f *forgery) { slices.Reverse(state(f).Frames) }, "frame"},
	{"deep", "no innermost frame", func(f *forgery) { state(f).Frames = state(f).Frames[:600] }, "pending call"},
	{"deep", "nothing that is called", func(f *forgery) { state(f).Pending = nil }, "nothing is called"},
	{"deep", "a million frames", func(f *forgery) {
		fr := *frame(f, 500)
		var all []engine.Frame
		for range 1 << 20 {
			all = append(all, fr)
		}
		state(f).Frames = append(append(state(f).Frames[:500:500], all...), state(f).Frames[501:]...)
	}, "frames"},
	{"deep", "frames of no system", func(f *forgery) { state(f).Frames = nil }, ""},
	{"deep", "a fresh system with frames", func(f *forgery) { state(f).Fresh = true }, ""},

	// What the innermost one waits for.
	{"deep", "a call of no import", func(f *forgery) { state(f).Pending.Import = 99 }, "no import 99"},
	{"deep", "a call of import 2^32-1", func(f *forgery) { state(f).Pending.Import = math.MaxUint32 }, "no import"},
	{"deep", "an argument less", func(f *forgery) { state(f).Pending.Args = state(f).Pending.Args[1:] }, "does not fit"},
	{"deep", "a memory operation of none", func(f *forgery) { *state(f).Pending = engine.Pending{Bulk: true, Args: make([]uint64, 3)} }, "memory operation"},
	{"bulk", "a memory operation of a segment", func(f *forgery) { state(f).Pending.Op = 77 }, "no such instruction"},
	{"bulk", "a memory operation of two operands", func(f *forgery) { state(f).Pending.Args = make([]uint64, 2) }, "does not fit"},

	// Globals, tables, segments, references.
	{"globals", "a global less", func(f *forgery) { state(f).Globals = state(f).Globals[1:] }, "is missing"},
	{"globals", "a global of another type", func(f *forgery) { state(f).Globals[0].Value.Type = wasm.I64 }, "type"},
	{"globals", "a global that cannot change", func(f *forgery) { state(f).Globals[0].Index = 2 }, "global"},
	{"globals", "a global of no number", func(f *forgery) {
		state(f).Globals = append(state(f).Globals, engine.Global{Index: 99, Value: engine.Value{Type: wasm.I32}})
	}, "global 99"},
	{"tables", "a reference to no function in a global", func(f *forgery) { state(f).Globals[0].Value.Lo = 1 << 40 }, "global 0"},
	{"tables", "a reference to no function in a local", func(f *forgery) {
		for i := range state(f).Frames {
			for j := range state(f).Frames[i].Values {
				if v := &state(f).Frames[i].Values[j].Value; v.Type.IsRef() {
					v.Lo = 1000
				}
			}
		}
	}, "function"},
	{"tables", "a reference to no function in a table", func(f *forgery) { state(f).Tables[0].Items[0] = 1000 }, "table 0"},
	{"tables", "a table that is too large", func(f *forgery) { state(f).Tables[0].Items = make([]uint64, 11) }, "table 0"},
	{"tables", "a table that is too small", func(f *forgery) { state(f).Tables[0].Items = make([]uint64, 3) }, "table 0"},
	{"tables", "a table of no number", func(f *forgery) { state(f).Tables[0].Index = 9 }, "table"},
	{"tables", "a table twice", func(f *forgery) { state(f).Tables[1] = state(f).Tables[0] }, "table"},
	{"tables", "a segment of no number", func(f *forgery) { state(f).Dropped[0].Index = 99 }, "segment 99"},

	// Memory.
	{"grown", "a memory beyond the module's", func(f *forgery) { setMemory(f, 5) }, "memory"},
	{"grown", "a memory below the module's", func(f *forgery) { setMemory(f, 0) }, "memory"},
	{"grown", "a memory that the image has less of", func(f *forgery) { state(f).MemorySize += 64 << 10 }, "memory"},
	{"grown", "a memory that the image has more of", func(f *forgery) { state(f).MemorySize -= 64 << 10 }, "memory"},
	{"grown", "a memory of half a page", func(f *forgery) { state(f).MemorySize -= 32 << 10 }, "memory"},
	{"grown", "a memory of 2^63", func(f *forgery) { state(f).MemorySize = 1 << 63 }, "memory"},
	{"grown", "a memory of 2^64", func(f *forgery) { state(f).MemorySize = math.MaxUint64 &^ 0xffff }, "memory"},
	{"grown", "a memory of no number", func(f *forgery) { process(f).Memories = []uint32{7} }, "memories [7]"},
	{"grown", "a memory of number 2^32-1", func(f *forgery) { process(f).Memories = []uint32{math.MaxUint32} }, "memories"},
	{"grown", "two memories", func(f *forgery) { process(f).Memories = []uint32{0, 0} }, "memories [0 0]"},
	{"grown", "no memory", func(f *forgery) { process(f).Memories = nil }, "memories"},

	// Modules.
	{"deep", "another module", func(f *forgery) { f.module = guest("tables"); process(f).Module = digestOf(f.module) }, "global 0 is missing"},
	{"deep", "a module that is not in the image", func(f *forgery) { process(f).Module[0]++ }, "not in the image"},
	{"deep", "no module", func(f *forgery) { f.module = []byte("hello"); process(f).Module = digestOf(f.module) }, "image"},
	{"deep", "half a module", func(f *forgery) { f.module = f.module[:200]; process(f).Module = digestOf(f.module) }, "image"},
	{"thin", "another module aside", func(f *forgery) {
		if err := os.WriteFile(filepath.Join(f.dir, moduleFile), guest("deep"), 0o600); err != nil {
			panic(err)
		}
	}, "the image is of module"},

	// The kernel.
	{"read", "no process", func(f *forgery) {
		f.state.Kernel.Processes = append([]kernel.ProcessState(nil), *process(f), *process(f))
	}, "two tasks of number"},
	{"read", "two tasks", func(f *forgery) { process(f).Tasks = append(process(f).Tasks, *task(f)) }, "two tasks of number 1"},
	{"read", "two tasks over a memory of one", func(f *forgery) {
		process(f).Tasks = append(process(f).Tasks, *task(f))
		process(f).Tasks[1].ID++
	}, "no memory to share"},
	{"read", "twenty million fd tables", func(f *forgery) { f.extra = bytes.Repeat([]byte{0x1a, 0}, 20<<20) }, "more than a message of this size holds"},
	{"read", "no task", func(f *forgery) { process(f).Tasks = nil }, "state"},
	{"read", "no thread", func(f *forgery) { task(f).Thread = nil }, "without number or thread"},
	{"read", "task 0", func(f *forgery) { task(f).ID = 0 }, "without number"},
	{"read", "a clock before its beginning", func(f *forgery) { f.state.Kernel.Clocks.Monotonic = -1 }, "clock"},
	{"read", "a clock at its end", func(f *forgery) { f.state.Kernel.Clocks.Wall = math.MaxInt64 }, "clock"},
	{"read", "a call that has done -1 bytes", func(f *forgery) { task(f).Restart.Done = -1 }, "-1 bytes done"},
	{"read", "a signal that cannot wait", func(f *forgery) { process(f).Pending = 1 << 8 }, "pending signals"},
	{"stopped", "a stop by SIGKILL", func(f *forgery) { task(f).GroupStop = 9 }, "group stop"},
	{"stopped", "a stop by signal 2^31-1", func(f *forgery) { task(f).GroupStop = math.MaxInt32 }, "group stop"},
	{"clock", "no generator", func(f *forgery) { f.state.Kernel.Random = []byte("chacha8:") }, "random"},
	{"clock", "a large generator", func(f *forgery) { f.state.Kernel.Random = make([]byte, 1<<20) }, "random"},

	// Fds and files.
	{"files", "an fd table of no number", func(f *forgery) { process(f).FDTable = 9 }, "fd table 9"},
	{"files", "an fd table of number 2^32-1", func(f *forgery) { process(f).FDTable = math.MaxUint32 }, "fd table"},
	{"files", "an fd of no file", func(f *forgery) { f.state.FDs[0].FDs[3].File = 99 }, "open file 99"},
	{"files", "an fd of file -1", func(f *forgery) { f.state.FDs[0].FDs[3].File = -1 }, "open file -1"},
	{"files", "an fd twice", func(f *forgery) { f.state.FDs[0].FDs[3].FD = 2 }, "out of order"},
	{"files", "fd 2^32-1", func(f *forgery) { f.state.FDs[0].FDs[len(f.state.FDs[0].FDs)-1].FD = math.MaxUint32 }, "limit"},
	{"files", "room for 2^63 fds", func(f *forgery) { f.state.FDs[0].Limit = math.MaxInt }, "limit"},
	{"files", "rights that nobody has", func(f *forgery) { f.state.FDs[0].FDs[3].Base = math.MaxUint64 }, "rights"},
	{"files", "a file of an unknown kind", func(f *forgery) { o := &f.state.Files.Files[0]; o.Mount, o.Object.Kind = "", "x" }, "not known"},
	{"files", "a file of no mount", func(f *forgery) { openIn(f, "/").Mount = "/etc" }, "/etc"},
	{"files", "a file outside of its mount", func(f *forgery) { openIn(f, "/").Path = "etc" }, "outside"},
	{"files", "a file of no inode", func(f *forgery) { edited(&openIn(f, "/").Object, func(s *memfs.FileState) { s.Ino = 999 }) }, "inode 999"},
	{"files", "an offset of -1", func(f *forgery) { openIn(f, "/").Offset = -1 }, "offset -1"},

	// File systems in memory.
	{"files", "no root", func(f *forgery) { f.state.Mounts[0].Guest = "/x" }, "mount /"},
	{"files", "two roots", func(f *forgery) { f.state.Mounts = append(f.state.Mounts, f.state.Mounts[0]) }, "mount /"},
	{"files", "a root that is no inode", func(f *forgery) { root(f).Root = 99 }, "root inode 99"},
	{"files", "a root that is a file", func(f *forgery) { root(f).Root = node(f, abi.FiletypeRegularFile, 0).Ino }, "root inode"},
	{"files", "a ring of directories", func(f *forgery) {
		a, b := node(f, abi.FiletypeDirectory, 1), node(f, abi.FiletypeDirectory, 2)
		b.Entries = []memfs.EntryState{{Name: "up", Ino: a.Ino, Seq: 100}}
		b.LastSeq = 100
		node(f, abi.FiletypeDirectory, 0).Entries = nil
	}, "ring"},
	{"files", "a directory in itself", func(f *forgery) {
		a := node(f, abi.FiletypeDirectory, 2)
		a.Entries, a.LastSeq = []memfs.EntryState{{Name: "self", Ino: a.Ino, Seq: 100}}, 100
	}, "inode"},
	{"files", "a file of 2^63-1 bytes", func(f *forgery) { node(f, abi.FiletypeRegularFile, 0).Size = math.MaxInt64 }, "size"},
	{"files", "a file of -1 bytes", func(f *forgery) { node(f, abi.FiletypeRegularFile, 0).Size = -1 }, "size -1"},
	{"files", "an extent beyond the end", func(f *forgery) { node(f, abi.FiletypeRegularFile, 0).Extents[0].Off = 1 << 40 }, "extent"},
	{"files", "an extent at -64 KiB", func(f *forgery) { node(f, abi.FiletypeRegularFile, 0).Extents[0].Off = -65536 }, "extent"},
	{"files", "an extent of 3 bytes", func(f *forgery) { node(f, abi.FiletypeRegularFile, 0).Extents[0].Data = []byte("abc") }, "extent"},
	{"files", "an extent twice", func(f *forgery) {
		n := node(f, abi.FiletypeRegularFile, 0)
		n.Extents = append(n.Extents, n.Extents[0])
	}, "extent"},
	{"files", "a quota of 2^63-1 bytes less than is there", func(f *forgery) { root(f).Bytes = 4096 }, "quota"},
	{"files", "no inodes", func(f *forgery) { root(f).Inodes = 0 }, "quota"},
	{"files", "a name with a slash", func(f *forgery) { node(f, abi.FiletypeDirectory, 0).Entries[0].Name = "../x" }, "name"},
	{"files", "the name ..", func(f *forgery) { node(f, abi.FiletypeDirectory, 0).Entries[0].Name = ".." }, "name"},
	{"files", "a name of nothing", func(f *forgery) { node(f, abi.FiletypeDirectory, 0).Entries[0].Ino = 999 }, "inode 999"},
	{"files", "a target with NUL", func(f *forgery) { node(f, abi.FiletypeSymbolicLink, 0).Target = "a\x00b" }, "target"},
	{"files", "an inode of a device", func(f *forgery) { node(f, abi.FiletypeRegularFile, 0).Filetype = abi.FiletypeBlockDevice }, "inode"},
	{"tmpfs", "a file system over its quota", func(f *forgery) { f.state.Mounts[1].FS.Bytes = 4096 }, "quota"},

	{"host", "a file system in memory where a directory is granted", func(f *forgery) {
		m := f.state.Mounts[0]
		m.Guest = "/host"
		f.state.Mounts = append(f.state.Mounts, m)
	}, "mount /host"},
	{"host", "a granted directory that is needed elsewhere", func(f *forgery) { f.state.Files.Mounts[1].Guest = "/etc" }, "mount /etc is needed"},
	{"accept", "a socket that is not granted", func(f *forgery) {
		for i := range f.state.Files.Files {
			if o := &f.state.Files.Files[i].Object; o.Kind == hostfile.KindListener {
				edited(o, func(s *hostfile.State) { s.Name = "tcp:0.0.0.0:22" })
			}
		}
	}, "listener tcp:0.0.0.0:22 is needed"},

	// A terminal.
	{"tty", "too few special characters", tty(func(s *ttyfs.State) { s.Cc = s.Cc[:3] }), "special characters"},
	{"tty", "too much input", tty(func(s *ttyfs.State) { s.Input = make([]byte, 5000) }), "input"},
	{"tty", "too much output", tty(func(s *ttyfs.State) { s.Output = make([]byte, 1<<20) }), "output"},
	{"tty", "a line that ends behind the input", tty(func(s *ttyfs.State) { s.Ends = []uint32{4000} }), "line ends"},
	{"tty", "lines that go backwards", tty(func(s *ttyfs.State) { s.Ends = []uint32{5, 3} }), "line ends"},
	{"tty", "a line that begins behind the input", tty(func(s *ttyfs.State) { s.Canon = math.MaxUint32 }), "line begins"},
	{"tty", "an echo of no kind", tty(func(s *ttyfs.State) { s.Echoes = []uint32{math.MaxUint32} }), "echo"},
	{"tty", "many echoes", tty(func(s *ttyfs.State) { s.Echoes = make([]uint32, 1<<16) }), "echoes"},
	{"tty", "a huge terminal", tty(func(s *ttyfs.State) { s.Rows = math.MaxUint32 }), "size"},
	{"tty", "a file of no terminal", func(f *forgery) {
		edited(&f.state.Files.Files[0].Object, func(s *ttyfs.FileState) { s.Terminal = 99 })
	}, "object 99"},
	{"tty", "a terminal that is something else", func(f *forgery) { f.state.Files.Objects[0].Kind = "pipe" }, "kind"},
}

func frame(f *forgery, i int) *engine.Frame { return &state(f).Frames[i] }

func setMemory(f *forgery, pages int) {
	f.memory = make([]byte, pages<<16)
	state(f).MemorySize = uint64(len(f.memory))
}

// openIn finds an open file of a mount.
func openIn(f *forgery, mount string) *vfs.FileState {
	for i := range f.state.Files.Files {
		if st := &f.state.Files.Files[i]; st.Mount == mount && st.Path != mount {
			return st
		}
	}
	panic("no such file")
}

func guest(name string) []byte {
	b, err := os.ReadFile(filepath.Join("guests", name+".wasm"))
	if err != nil {
		panic(err)
	}
	return b
}

// digestOf is the name of a module in an image.
func digestOf(module []byte) [32]byte { return sha256.Sum256(module) }

// maxHostile is how much memory a restore of a hostile image may take, in bytes
// above what there was before.
const maxHostile = 256 << 20

// TestHostile: an image that nobody can have saved is refused before anything
// of the guest runs, and in bounded memory.
func TestHostile(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.on+"/"+strings.ReplaceAll(c.what, " ", "_"), func(t *testing.T) {
			f := openForgery(t, c.on)
			c.edit(f)
			if err := f.write(); err != nil {
				t.Fatal(err)
			}
			f.state, f.memory = nil, nil
			runtime.GC() // no guest runs
			debug.FreeOSMemory()
			before := resident(t, "VmRSS")
			resetPeak(t)
			m, err := f.wake.boot(t.Context(), f.dir)
			defer m.close()
			if out := m.output(); out != "" {
				t.Errorf("the guest wrote %q", out)
			}
			if took := resident(t, "VmHWM") - before; took > maxHostile {
				t.Errorf("%d MiB of memory", took>>20)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want %s", err, c.err)
			}
			if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000) {
				t.Errorf("not an error for people: %q", err)
			}
		})
	}
}

// resident reads a size of /proc/self/status.
func resident(t *testing.T, what string) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("memory cannot be measured here: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s", what)
	return 0
}

// resetPeak has VmHWM begin anew.
func resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Logf("peaks of all cases are taken together: %v", err)
	}
}

var (
	mutations = flag.Int("mutations", 0, "how many mutated images of each case TestMutated tries")
	firstSeed = flag.Uint64("seed", 1, "of TestMutated")
)

// TestMutated restores images with values that are not as they should be, and
// lets run for a moment what is taken: an error or a system that can be ended,
// never a panic or a hang.
func TestMutated(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 6
	}
	if *mutations > 0 {
		rounds = *mutations
	}
	taken, refused := 0, 0
	for i, c := range Cases {
		t.Run(c.Name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(*firstSeed, uint64(i)))
			f := openForgery(t, c.Name)
			good, err := protostruct.Marshal(f.state)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rounds {
				f.state = new(checkpoint.State)
				if err := protostruct.Unmarshal(bytes.Clone(good), f.state); err != nil {
					t.Fatal(err)
				}
				for range 1 + r.IntN(2)*r.IntN(3) { // mostly one: of several, the first that is refused counts
					prototest.Mutate(r, f.state)
				}
				if f.state.Kernel == nil || len(f.state.Kernel.Processes) == 0 {
					continue
				}
				if f.try(t) {
					taken++
				} else {
					refused++
				}
				if i%32 == 0 {
					runtime.GC() // no guest runs
				}
			}
		})
	}
	t.Logf("%d refused, %d taken", refused, taken)
}

// try restores the image, and reports whether it was taken.
func (f *forgery) try(t *testing.T) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, out, err := f.restore(ctx)
	if m == nil {
		t.Fatal(err)
	}
	defer m.close()
	if out != "" && !f.wake.TTY { // where it is what was not shown yet
		t.Errorf("the guest wrote %q before it ran", out)
	}
	if err != nil {
		return false
	}
	m.start(ctx)
	time.Sleep(time.Millisecond)
	m.sys.Terminate()
	if _, err := m.wait(); err != nil {
		t.Error(fmt.Errorf("it cannot be ended: %w", err))
	}
	return true
}

// FuzzRestore restores an image whose state is anything: an error or a system,
// which does not run, as the fuzzer stops Go's world when it likes.
func FuzzRestore(f *testing.F) {
	var forgeries []*forgery
	for i, c := range Cases {
		if c.Name == "bulk" { // its memory is large
			continue
		}
		fg := openForgery(f, c.Name)
		b, err := protostruct.Marshal(fg.state)
		if err != nil {
			f.Fatal(err)
		}
		forgeries = append(forgeries, fg)
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		fg := *forgeries[int(i)%len(forgeries)]
		fg.bytes = bytes.Clone(b)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		m, _, err := fg.restore(ctx)
		if m == nil {
			t.Fatal(err)
		}
		m.close()
	})
}
