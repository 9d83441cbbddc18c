package guests_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/guests/internal/plainrun"
)

var (
	update = flag.Bool("update", false, "record what the guests print as what they must print")
	extras = flag.Bool("extra", false, "run the extra guests too, which are large downloads")
	table  = flag.Bool("table", false, "print a table of the guests (with -v)")

	asyncify = flag.Bool("asyncify", false, "run the Asyncify variants too, which take minutes to make")
)

// get returns a guest's module or skips the test.
func get(t *testing.T, path func(context.Context, string) (string, error), name string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	p, err := path(ctx, name)
	if guests.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a guest in a root of its own.
func run(t *testing.T, g *guests.Guest, module string, args []string) plainrun.Result {
	t.Helper()
	root := t.TempDir()
	if err := g.Place(root); err != nil {
		t.Fatal(err)
	}
	res, err := plainrun.Run(t.Context(), module, plainrun.Options{
		Args: append([]string{g.Name}, args...), Env: g.Env, Stdin: g.Stdin, Root: root,
	})
	if err != nil {
		t.Fatalf("%v\n%s%s", err, res.Stdout, res.Stderr)
	}
	if res.Exit != 0 || res.Stderr != "" {
		t.Errorf("exit %d, stderr %q", res.Exit, res.Stderr)
	}
	return res
}

func compare(t *testing.T, name, got, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "want", name+".txt"), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		line := func(s []string) string {
			if i < len(s) {
				return s[i]
			}
			return "(end)"
		}
		if line(g) != line(w) {
			t.Fatalf("output line %d:\ngot  %s\nwant %s", i+1, line(g), line(w))
		}
	}
}

// small are the guests of -short: one C file each. Under -race, wazero compiles
// a large module for a minute.
var small = map[string]bool{"fib": true, "nbody": true, "sha256": true, "sort": true, "interp": true}

// Each guest prints on plain wazero what is recorded; long runs and large
// programs are left out with -short. The engine there has no SIMD, threads,
// exceptions or tail calls, so this shows too that no guest needs them.
func TestGuests(t *testing.T) {
	for _, g := range guests.All() {
		t.Run(g.Name, func(t *testing.T) {
			if g.Extra && !*extras {
				t.Skip("a large download: run with -extra")
			}
			if testing.Short() && !small[g.Name] {
				t.Skip("a large program: run without -short")
			}
			module := get(t, guests.Path, g.Name)
			quick := run(t, &g, module, g.QuickArgs)
			compare(t, g.Name+".quick", quick.Stdout, g.WantQuick)
			if testing.Short() {
				return
			}
			full := run(t, &g, module, g.Args)
			compare(t, g.Name, full.Stdout, g.Want)
			if *table {
				row(t, &g, module, quick, full)
			}
		})
	}
}

// row prints a guest's line of the table: name, size, digest, time to compile,
// the quick run's time and the full run's CPU time, functions, imports.
func row(t *testing.T, g *guests.Guest, module string, quick, full plainrun.Result) {
	b, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	m, err := plainrun.Inspect(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("ROW\t%s\t%d\t%.8x\t%.2fs\t%.2fs\t%.2fs\t%d functions\t%d imports\t%s\n", g.Name, len(b), sha256.Sum256(b),
		quick.Compile.Seconds(), quick.Run.Seconds(), full.CPU.Seconds(), m.Functions, len(m.Imports), strings.Join(m.Imports, " "))
}

// What Asyncify makes of a guest prints the same.
func TestAsyncified(t *testing.T) {
	if !*asyncify {
		t.Skip("minutes of wasm-opt: run with -asyncify")
	}
	done := map[string]bool{}
	for _, g := range guests.All() {
		if done[g.Program()] || g.Extra {
			continue
		}
		done[g.Program()] = true
		t.Run(g.Name, func(t *testing.T) {
			get(t, guests.Path, g.Name)
			module := get(t, guests.Asyncified, g.Name)
			compare(t, g.Name+".quick", run(t, &g, module, g.QuickArgs).Stdout, g.WantQuick)
		})
	}
}

// Many may ask for one guest at the same time.
func TestPathConcurrent(t *testing.T) {
	get(t, guests.Path, "fib") // skips where there is no compiler
	cache := &guests.Cache{Dir: t.TempDir()}
	var wg sync.WaitGroup
	digests := make([]string, 8)
	for i := range digests {
		wg.Go(func() {
			c := &guests.Cache{Dir: cache.Dir} // as another process has
			p, err := c.Path(t.Context(), "fib")
			if err != nil {
				t.Error(err)
				return
			}
			if digests[i], err = guests.Digest(p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, d := range digests {
		if d != digests[0] {
			t.Errorf("two callers got %s and %s", d, digests[0])
		}
	}
	left, err := filepath.Glob(filepath.Join(cache.Dir, "*.new"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// The catalog is sound: names differ, outputs are recorded, scales matter.
func TestCatalog(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range guests.All() {
		if seen[g.Name] {
			t.Errorf("%s: twice", g.Name)
		}
		seen[g.Name] = true
		if g.About == "" || g.Source == "" || g.License == "" {
			t.Errorf("%s: no about, source or license", g.Name)
		}
		if (g.Want == "" || g.WantQuick == "") && !*update {
			t.Errorf("%s: no output recorded", g.Name)
		}
		if strings.Join(g.Args, " ") == strings.Join(g.QuickArgs, " ") || strings.Join(g.ArgsAt(7), " ") == strings.Join(g.ArgsAt(8), " ") {
			t.Errorf("%s: scale has no place in its arguments", g.Name)
		}
	}
	if _, err := guests.Path(t.Context(), "no-such-guest"); err == nil || guests.IsUnavailable(err) {
		t.Errorf("no-such-guest: got %v", err)
	}
}

// What programs of toolchains must print is what they print on Linux, built by
// the compiler of this machine.
func TestToolchainsNatively(t *testing.T) {
	for _, tt := range []struct{ guest, compiler, std, source, define string }{
		{"cxx-exceptions-legacy", "c++", "-std=c++20", "cxx/exceptions.cpp", ""},
		{"cxx-terminate-legacy", "c++", "-std=c++20", "cxx/endings.cpp", "-DENDING=1"},
		{"cxx-noexcept-legacy", "c++", "-std=c++20", "cxx/endings.cpp", "-DENDING=2"},
		{"cxx-uncaught-legacy", "c++", "-std=c++20", "cxx/endings.cpp", "-DENDING=3"},
		{"pthreads", "cc", "-std=gnu11", "pthreads/pthreads.c", ""},
	} {
		t.Run(tt.guest, func(t *testing.T) {
			compiler, err := exec.LookPath(tt.compiler)
			if err != nil {
				t.Skip(err)
			}
			g, err := guests.Lookup(tt.guest)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			program := filepath.Join(t.TempDir(), "native")
			build := exec.CommandContext(ctx, compiler, tt.std, "-O1", "-pthread", "-w", "-o", program, filepath.Join("src", filepath.FromSlash(tt.source)))
			if tt.define != "" {
				build.Args = append(build.Args, tt.define)
			}
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var ended *exec.ExitError // the endings abort
			out, err := exec.CommandContext(ctx, program, g.Args...).Output()
			if err != nil && !errors.As(err, &ended) {
				t.Fatal(err)
			}
			if string(out) != g.Want {
				t.Errorf("natively: got %s\nrecorded: %s", out, g.Want)
			}
		})
	}
}
