package processes

import (
	"context"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

// bootWithFiles is boot for a program that executes itself: it is /bin/spawn, which
// the PATH that it is given leads to, beside /tmp.
func (p *program) bootWithFiles(t *testing.T, stress kernel.Stress, change ...func(*kernel.Options)) *world {
	t.Helper()
	w := p.boot(t, errand{}, kernel.Stress{})
	ns, first := w.world.Namespace, w.k
	cwd, err := vfs.NewFSContext(ns, "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "tmp"} {
		if errno := cwd.MkdirAt(nil, dir); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	f, errno := cwd.OpenAt(nil, "/bin/spawn", 0, abi.OCreat, false, true, 0)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	if n, errno := f.Write([][]byte{p.code}); errno != abi.OK || n != len(p.code) {
		t.Fatal(n, errno)
	}
	f.DecRef()
	files, errno := first.Init().Files().Clone()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	w.close()
	o := w.options()
	for _, f := range change {
		f(&o)
	}
	w.k = kernel.New(o)
	if _, err := w.k.CreateProcess(context.Background(), p.module, kernel.ProcessOptions{
		Args: []string{"spawn"}, Env: []string{"A=1", "PATH=/nix:/bin"}, Files: files, CWD: cwd, Entry: "_start", Stress: stress,
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// All calls that make a child which runs a program, also taken apart at every
// safepoint and before every call.
func TestSpawn(t *testing.T) {
	code, want := []byte(read(t, "testdata/spawn.wasm")), read(t, "testdata/spawn.txt")
	p := compile(t, code, wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly})
	for _, every := range []int32{0, 1, 7} {
		stress := kernel.Stress{Every: every}
		if every == 7 {
			stress.Stopped = func(s *kernel.ExternalStop) { s.End() }
		}
		w := p.bootWithFiles(t, stress)
		if got := w.start().ends(); got != want {
			t.Errorf("every %d: got %s\nwant %s", every, got, want)
		}
		w.close()
	}
}
