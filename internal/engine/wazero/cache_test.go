package wazero_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	plain "github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
)

// An entry of the native cache that is damaged is an error to wazero.
func TestFactCorruptCacheEntry(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	b, err := os.ReadFile("testdata/basic.wasm")
	if err != nil {
		t.Fatal(err)
	}
	compile := func() error {
		c, err := plain.NewCompilationCacheWithDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		r := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCompilationCache(c))
		defer r.Close(ctx)
		_, err = r.CompileModule(ctx, b)
		return err
	}
	if err := compile(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files(t, dir) {
		damage(t, f, func(b []byte) []byte { return b[:len(b)/2] })
	}
	if err := compile(); err == nil {
		t.Error("half an entry is no error any more: Engine.code need not try again")
	}
}

// files lists the files below a directory.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func damage(t *testing.T, file string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runCached runs fib(12) of the basic module with a cache.
func runCached(dir string) error {
	ctx := context.Background()
	b, err := os.ReadFile("testdata/basic.wasm")
	if err != nil {
		return err
	}
	c, err := wazero.OpenCache(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	e, err := wazero.New(ctx, wazero.Options{Cache: c})
	if err != nil {
		return err
	}
	defer e.Close()
	m, err := e.Compile(ctx, b)
	if err != nil {
		return err
	}
	defer m.Close()
	th, err := m.New(ctx, &env{}, engine.Limits{}, nil)
	if err != nil {
		return err
	}
	defer th.Close()
	fn, _, _ := m.Export("fib")
	if err := th.Start(fn, []uint64{12}); err != nil {
		return err
	}
	if ev := th.Run(ctx); ev.Kind != engine.Exited || ev.Results[0] != 144 {
		return fmt.Errorf("fib: %+v; want 144", ev)
	}
	return nil
}

// Whatever happens to the files of a cache, programs run.
func TestCacheHeals(t *testing.T) {
	for name, f := range map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"half":        func(b []byte) []byte { return b[:len(b)/2] },
		"first byte":  func(b []byte) []byte { b[0] ^= 0xff; return b },
		"middle byte": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"last byte":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"longer":      func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := runCached(dir); err != nil {
				t.Fatal(err)
			}
			fs := files(t, dir)
			if len(fs) < 2 {
				t.Fatalf("the cache has %d files; want a rewritten module and its code", len(fs))
			}
			for _, f2 := range fs {
				damage(t, f2, f)
			}
			for range 2 {
				if err := runCached(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestMain has the test binary be a writer of a cache, if asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TEST_CACHE_WRITER"); dir != "" {
		for {
			if err := runCached(dir); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			_ = os.RemoveAll(filepath.Join(dir, "hot"))
			matches, _ := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
			for _, f := range matches {
				_ = os.Remove(f)
			}
		}
	}
	os.Exit(m.Run())
}

// Writers of one cache may run at the same time and be killed.
func TestCacheWriters(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for i := range rounds {
		var killed []*exec.Cmd
		for range 2 {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "TEST_CACHE_WRITER="+dir)
			c.Stdout = os.Stdout
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			killed = append(killed, c)
		}
		// A sleep on purpose: writers are to be killed at any moment of theirs.
		time.Sleep(time.Duration(20+17*i) * time.Millisecond)
		for _, c := range killed {
			if err := c.Process.Kill(); err != nil {
				t.Error(err)
			}
			if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("a writer ended by itself: %v", err)
			}
		}
		if err := runCached(dir); err != nil {
			t.Errorf("after writers were killed: %v", err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := runCached(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// What killed writers left is removed once no writer can be at it any more.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	if err := runCached(dir); err != nil {
		t.Fatal(err)
	}
	kept := len(files(t, dir))
	native, _ := filepath.Glob(filepath.Join(dir, "wazero-*"))
	if len(native) != 1 {
		t.Fatalf("%d directories of native code", len(native))
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, f := range []string{filepath.Join(dir, "hot", ".tmp-1"), filepath.Join(native[0], "00.1.tmp")} {
		if err := os.WriteFile(f, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	young := filepath.Join(dir, "hot", ".tmp-2")
	if err := os.WriteFile(young, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runCached(dir); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != kept+1 {
		t.Errorf("%d files besides the one being written, want %d: %v", len(got)-1, kept, got)
	}
}

// native lists the entries of native code, with what tells whether one was written
// anew.
func native(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, f := range files(t, dir) {
		if !strings.Contains(f, "wazero-") {
			continue
		}
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = fmt.Sprint(st.ModTime().UnixNano(), st.Sys().(*syscall.Stat_t).Ino)
	}
	return out
}

// callsCached runs all calls of the basic module in a process of its own, as far as
// the cache can tell: they are unwound at every third safepoint, saved, and woken.
func callsCached(t *testing.T, dir string, how wazero.Interpret) {
	t.Helper()
	c, err := wazero.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m := compile(t, wazero.Options{Cache: c, Interpret: how, Pass: instrument.Options{Counted: true}})
	for _, x := range basicCalls {
		if x.name != "sum" || how != wazero.InterpretAlways { // vectors are never interpreted
			call(t, m, x.name, x.args, 3, true)
		}
	}
}

// Who wakes what was saved compiles nothing, if the cache is warm: neither the hot
// form nor, where frames go on compiled, their continuations. What is interpreted
// needs none: then the hot form alone is enough.
func TestWarmRestoreCompilesNothing(t *testing.T) {
	for _, c := range []struct {
		name      string
		interpret wazero.Interpret
		hotAlone  bool
	}{
		{"compiled", wazero.InterpretNone, false},
		{"briefly interpreted", wazero.InterpretBriefly, false},
		{"interpreted", wazero.InterpretAlways, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			callsCached(t, dir, c.interpret)
			before := native(t, dir)
			if hotAlone := len(before) == 1; hotAlone != c.hotAlone {
				t.Errorf("%d entries; the hot form alone: want %v", len(before), c.hotAlone)
			}
			callsCached(t, dir, c.interpret)
			if after := native(t, dir); !maps.Equal(before, after) {
				t.Errorf("something was compiled: %d entries, then %d", len(before), len(after))
			}
		})
	}
}
