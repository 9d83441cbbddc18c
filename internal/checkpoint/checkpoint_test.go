package checkpoint_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/faultfs"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// TestMain keeps Go's collector from starting behind a looping guest.
func TestMain(m *testing.M) {
	kernel.OwnCollector()
	os.Exit(m.Run())
}

const patience = time.Minute

// A bench is an engine with the guest of the tests: testdata/sum.wasm computes
// for a while, two calls deep, and returns the sum.
type bench struct {
	engine *wazero.Engine
	code   engine.Module
	module []byte
}

func newBench(t testing.TB) *bench {
	t.Helper()
	e, err := wazero.New(t.Context(), wazero.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/sum.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{e, enginetest.Compile(t, e, b), b}
}

func options() kernel.Options {
	return kernel.Options{Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{})), Limits: engine.Limits{Memory: 1 << 20}}
}

// world is a tree of what is in memory only.
func world(mounts []vfs.Mount) (checkpoint.World, error) {
	w := checkpoint.World{Namespace: vfs.NewNamespace(ktime.Host.Wall)}
	return w, w.Namespace.MountAll(mounts)
}

// boot starts a system that calls sum with rounds.
func (b *bench) boot(t testing.TB, rounds uint64) (*kernel.Kernel, checkpoint.World) {
	t.Helper()
	w, err := world([]vfs.Mount{{Guest: "/", FS: memfs.New(memfs.Options{Now: ktime.Host.Wall})}})
	if err != nil {
		t.Fatal(err)
	}
	fds := vfs.NewFDTable(16)
	f, err := w.Namespace.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	if _, errno := fds.Preopen(f, "/"); errno != 0 {
		t.Fatal(errno)
	}
	k := kernel.New(options())
	_, err = k.CreateProcess(t.Context(), b.code, kernel.ProcessOptions{
		Args: []string{"sum"}, Files: fds, Entry: "sum", EntryArgs: []uint64{rounds},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	return k, w
}

func (b *bench) restore(ctx context.Context, im *image.Image, st *checkpoint.State) (*kernel.Kernel, checkpoint.World, error) {
	mounts, err := st.MemoryMounts(ktime.Host.Wall)
	if err != nil {
		return nil, checkpoint.World{}, err
	}
	w, err := world(mounts)
	if err != nil {
		return nil, w, err
	}
	k, err := checkpoint.Restore(ctx, im, st, checkpoint.Restoring{Kernel: options(), World: w, Module: b.code})
	return k, w, err
}

// result runs a system to its end.
func result(t *testing.T, k *kernel.Kernel) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := k.Init().Wait(ctx)
	if err != nil || st.Signal != 0 || st.Trap != nil || len(st.Results) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	return st.Results[0]
}

// save writes an image of a system to dir.
func (b *bench) save(k *kernel.Kernel, w checkpoint.World, fsys image.FS, dir string, leave bool) (checkpoint.Stats, error) {
	d, err := image.Create(fsys, dir)
	if err != nil {
		return checkpoint.Stats{}, err
	}
	st, err := checkpoint.Save(context.Background(), k, w, checkpoint.Options{
		Create: d.File, Publish: d.Publish, Leave: leave, Module: b.module, Config: image.Config{Stasis: "test"},
	})
	if err != nil {
		err = errors.Join(err, d.Abort())
	}
	return st, err
}

func openImage(t testing.TB, dir string) (*image.Image, *checkpoint.State) {
	t.Helper()
	im, err := image.Open(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	st, err := checkpoint.Open(im)
	if err != nil {
		t.Fatal(err)
	}
	return im, st
}

const rounds = 40 << 20

// TestRoundTrip: saved in mid-call, left running, woken from each image of a
// chain: the same result each time.
func TestRoundTrip(t *testing.T) {
	b := newBench(t)
	k, w := b.boot(t, rounds)
	defer k.Close()
	dir := t.TempDir()
	st, err := b.save(k, w, image.OS, dir+"/0", true)
	if err != nil || st.Frames == 0 || st.Memory != 64<<10 {
		t.Fatalf("%+v, %v", st, err)
	}
	want := result(t, k)
	if _, err := b.save(k, w, image.OS, dir+"/late", true); !errors.Is(err, kernel.ErrExiting) {
		t.Errorf("after its end: %v", err)
	}
	for _, next := range []string{"/1", "/2", ""} {
		im, state := openImage(t, filepath.Join(dir, map[string]string{"/1": "0", "/2": "1", "": "2"}[next]))
		if m, err := checkpoint.ModuleOf(im, state); err != nil || !bytes.Equal(m, b.module) {
			t.Errorf("module: %v", err)
		}
		k, w, err := b.restore(t.Context(), im, state)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		if next != "" {
			if _, err := b.save(k, w, image.OS, dir+next, true); err != nil {
				t.Fatal(err)
			}
		}
		if got := result(t, k); got != want {
			t.Errorf("result %#x, want %#x", got, want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 3 {
		t.Errorf("left: %v", left)
	}
}

// TestFaults: wherever writing fails, the image is absent and the system runs
// on as if nothing had happened.
func TestFaults(t *testing.T) {
	b := newBench(t)
	want := b.undisturbed(t)
	k, w := b.boot(t, rounds)
	defer func() { k.Close() }()
	for at := 0; ; at++ {
		dir := t.TempDir()
		faulty := faultfs.New(image.OS, &faultfs.Fault{Kind: faultfs.Full, At: at})
		_, err := b.save(k, w, faulty, filepath.Join(dir, "image"), true)
		if len(faulty.OpenFiles()) > 0 {
			t.Errorf("operation %d: open files: %v", at, faulty.OpenFiles())
		}
		if errors.Is(err, kernel.ErrExiting) { // it was faster than we: once more with another one
			if got := result(t, k); got != want {
				t.Errorf("result %#x, want %#x", got, want)
			}
			k.Close()
			k, w = b.boot(t, rounds)
			at--
			continue
		}
		if err == nil {
			if at < 5 {
				t.Errorf("there were %d operations only", at)
			}
			break
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("operation %d: %v", at, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("operation %d: left %v, %v", at, left, err)
		}
	}
	if got := result(t, k); got != want {
		t.Errorf("result %#x, want %#x", got, want)
	}
}

func (b *bench) undisturbed(t *testing.T) uint64 {
	t.Helper()
	k, _ := b.boot(t, rounds)
	defer k.Close()
	return result(t, k)
}

// savedState is an image of a system in mid-call, and its state's bytes.
func savedState(t testing.TB, b *bench) (*image.Image, []byte) {
	t.Helper()
	k, w := b.boot(t, 1<<30)
	defer k.Close()
	dir := filepath.Join(t.TempDir(), "image")
	if _, err := b.save(k, w, image.OS, dir, false); err != nil {
		t.Fatal(err)
	}
	k.Init().Terminate()
	im, _ := openImage(t, dir)
	text, err := im.State()
	if err != nil {
		t.Fatal(err)
	}
	return im, text
}

// withState is an image like im that holds another state. An image that is
// consistent may still be hostile.
func withState(t testing.TB, b *bench, text []byte) (*image.Image, error) {
	dir, err := os.MkdirTemp(t.TempDir(), "image")
	if err != nil {
		return nil, err
	}
	draft, err := image.Create(image.OS, filepath.Join(dir, "i"))
	if err != nil {
		return nil, err
	}
	out := image.NewWriter(draft.File)
	defer out.Close()
	err = errors.Join(
		out.Module(b.code.Digest(), b.module),
		out.Memory(0, make([]byte, 64<<10)),
		out.State(text),
	)
	if err == nil {
		_, err = out.Finish(image.Config{Created: time.Unix(1, 0), Stasis: "test"})
	}
	if err == nil {
		err = draft.Publish()
	}
	if err != nil {
		return nil, errors.Join(err, draft.Abort())
	}
	return image.Open(image.OS, filepath.Join(dir, "i"))
}

var tries atomic.Int64

// try restores text's system, and runs it for a moment if run is set: an error,
// or a system that can be ended.
func try(t testing.TB, b *bench, text []byte, run bool) error {
	if tries.Add(1)%64 == 0 {
		runtime.GC() // no guest runs; see TestMain
	}
	im, err := withState(t, b, text)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := checkpoint.Open(im)
	if err != nil {
		return err
	}
	if _, err := checkpoint.ModuleOf(im, st); err != nil {
		return err
	}
	k, _, err := b.restore(ctx, im, st)
	if err != nil {
		return err
	}
	stop := k.Tasks().BeginExternalStop()
	if run {
		stop.End()
	}
	if err := k.Start(); err != nil {
		t.Error(err)
	}
	if run {
		time.AfterFunc(time.Millisecond, k.Init().Terminate)
	} else {
		k.Init().Terminate()
	}
	if _, err := k.Init().Wait(ctx); err != nil {
		t.Errorf("it cannot be ended: %v", err)
	}
	stop.End()
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	return nil
}

// TestHostileState: states that are not what Save makes are errors.
func TestHostileState(t *testing.T) {
	b := newBench(t)
	_, text := savedState(t, b)
	if err := try(t, b, text, true); err != nil {
		t.Fatalf("the state itself: %v", err)
	}
	empty := encoded(t, &checkpoint.State{Kernel: new(kernel.State), Files: new(vfs.State), FDs: make([]vfs.FDTableState, 1), Mounts: []memfs.MountState{{FS: new(memfs.State)}}})
	for _, text := range [][]byte{
		nil, {0}, []byte("{}"), {0x0a}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {0x0a, 0}, empty,
		bytes.Repeat([]byte{0x0b}, 100_000), append(bytes.Clone(text), 0x0a, 0),
	} {
		if err := try(t, b, text, true); err == nil {
			t.Errorf("%.60x is taken", text)
		}
	}
	// Each value of the state replaced by others, one at a time.
	st := new(checkpoint.State)
	if err := protostruct.Unmarshal(text, st); err != nil {
		t.Fatal(err)
	}
	count := 0
	prototest.Walk(st, func(_ string, v reflect.Value) {
		old := reflect.ValueOf(v.Interface())
		for i, h := range prototest.Hostile(v) {
			if testing.Short() && i%3 != count%3 {
				continue
			}
			v.Set(h)
			_ = try(t, b, encoded(t, st), true) // an error or a system
			count++
		}
		v.Set(old)
	})
	if count < 100 {
		t.Errorf("%d states only", count)
	}
}

func encoded(t testing.TB, st *checkpoint.State) []byte {
	t.Helper()
	b, err := protostruct.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzState mutates a real state and restores it: an error or a system, never
// a panic or a hang. The system does not run: the fuzzer stops Go's world when
// it likes, for which a looping guest does not wait.
func FuzzState(f *testing.F) {
	b := newBench(f)
	_, text := savedState(f, b)
	f.Add(text)
	f.Add(encoded(f, &checkpoint.State{
		Kernel: &kernel.State{Processes: []kernel.ProcessState{{Tasks: []kernel.TaskState{{}}}}},
		Files:  new(vfs.State), FDs: make([]vfs.FDTableState, 1), Mounts: []memfs.MountState{{FS: new(memfs.State)}},
	}))
	f.Fuzz(func(t *testing.T, text []byte) { _ = try(t, b, text, false) })
}
