package guest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/gob"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/protostruct"
)

// Package portable builds these tests for two architectures: one saves, the
// other one wakes.
var (
	saveTo   = flag.String("save", "", "directory to save guests to")
	wakeFrom = flag.String("wake", "", "directory to wake guests from")
	stops    = flag.Int("stops", 6, "with -save: how many safepoints and calls of each guest")
)

// A saved guest is what another machine goes on with.
type saved struct {
	State  []byte // an engine.State, in the image's encoding
	Memory []byte
	Log    []uint32
	Want   string
}

func (s *saved) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	if err := gob.NewEncoder(z).Encode(s); err != nil {
		return err
	}
	return z.Close()
}

func readSaved(path string) (s *saved, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	s = new(saved)
	return s, gob.NewDecoder(z).Decode(s)
}

func names(t *testing.T) (names []string) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d guests: %v", len(files), err)
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".wasm"))
	}
	return names
}

func open(t *testing.T, name string, o wazero.Options) *guest {
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return &guest{t: t, module: compile(t, b, o), limits: engine.Limits{Stack: budgets[name]}, name: name}
}

// TestSave saves each guest at some of its safepoints and calls, and goes on.
func TestSave(t *testing.T) {
	if *saveTo == "" {
		t.Skip("for package portable: -save names no directory")
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			g := open(t, name, wazero.Options{Pass: instrument.Options{Counted: true}})
			n := g.compiled(t)
			x := newMachine(t, g.module, g.limits)
			x.run(func() {})
			for i := range *stops {
				g.save(t, 1+i*n/(*stops), 0)
				g.save(t, 0, 1+i*max(1, x.world.calls)/(*stops))
			}
		})
	}
}

// compiled counts the safepoints of code that is not interpreted.
func (g *guest) compiled(t *testing.T) int {
	x := newMachine(t, g.module, g.limits)
	const never = 1 << 30
	x.thread.(counter).SetEvery(never)
	x.run(func() {})
	return max(1, never-x.thread.(counter).Left())
}

// save stops the guest at safepoint k or before call c, writes it, and records
// how it ends.
func (g *guest) save(t *testing.T, k, c int) {
	t.Helper()
	x := newMachine(t, g.module, g.limits)
	if k > 0 {
		x.thread.(counter).SetEvery(int32(k))
	}
	x.world.unwind = c
	var s *saved
	end := x.run(func() {
		if s != nil {
			return
		}
		x.world.unwind = 0
		st, err := x.thread.Save()
		if err != nil {
			t.Fatal(err)
		}
		b, err := protostruct.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		s = &saved{State: b, Memory: bytes.Clone(x.thread.Memory().Bytes()), Log: x.world.log[:len(x.world.log):len(x.world.log)]}
	})
	if s == nil {
		return // it has no such safepoint or call
	}
	s.Want = end
	if err := s.write(filepath.Join(*saveTo, fmt.Sprintf("%s-%d-%d", g.name, k, c))); err != nil {
		t.Fatal(err)
	}
}

// TestWake goes on with what TestSave has saved, here or elsewhere.
func TestWake(t *testing.T) {
	if *wakeFrom == "" {
		t.Skip("for package portable: -wake names no directory")
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(*wakeFrom, name+"-*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%d saved: %v", len(files), err)
			}
			g := open(t, name, wazero.Options{})
			for _, f := range files {
				s, err := readSaved(f)
				if err != nil {
					t.Fatal(err)
				}
				g.want = s.Want
				g.check(t, filepath.Base(f), g.wake(t, s))
			}
			t.Logf("woken %d times", len(files))
		})
	}
}

// wake makes a machine of what was saved and runs it to its end.
func (g *guest) wake(t *testing.T, s *saved) string {
	t.Helper()
	st := new(engine.State)
	if err := protostruct.Unmarshal(s.State, st); err != nil {
		t.Fatal(err)
	}
	x := &machine{t: t, module: g.module, limits: g.limits, world: newWorld(g.module)}
	x.world.log = s.Log
	var err error
	if x.thread, err = g.module.New(context.Background(), x.world, g.limits, st); err != nil {
		t.Fatal(err)
	}
	copy(x.thread.Memory().Bytes(), s.Memory)
	x.complete()
	return x.run(func() {})
}
