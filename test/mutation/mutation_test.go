package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	faults = flag.Int("faults", 0, "run so many of the faults, from the first on; 0 is all, or a few with -short")
	only   = flag.String("only", "", "run faults whose names contain this")
)

// short is how many faults run with -short: each is a build and a run.
const short = 3

// limit is how long a suite may take to catch a fault, on a machine that is
// busy with other things. One that hangs has been caught.
const limit = 4 * time.Minute

// A suite is a test that catches faults quickly.
type suite struct {
	pkg  string
	args []string
}

// suites by the name that faults.txt uses.
var suites = map[string]suite{
	"random":       {"./test/differential", []string{"-test.run=^TestRandomModules$", "-modules=1500", "-stop"}},
	"exceptions":   {"./test/conformance", []string{"-test.run=^TestSpecThroughThePass$/every_instruction.*/exception-handling"}},
	"random, long": {"./test/differential", []string{"-test.run=^TestRandomModules$", "-modules=8000", "-stop"}},
	"tail calls":   {"./test/conformance", []string{"-test.short", "-test.run=^TestSpecThroughThePass$/^every$/tail-call"}},
	"engine":       {"./internal/engine/wazero", []string{"-test.run=."}},
	"instrument":   {"./internal/instrument", []string{"-test.run=."}},
	"interpreter":  {"./internal/interp", []string{"-test.run=.", "-test.short"}},
}

// A fault is one entry of faults.txt.
type fault struct {
	name, file, suite string
	find, replace     string
}

// readFaults reads the list: entries begin with "== name", have lines "file"
// and "suite", and the two pieces of source after "-- find" and "-- replace".
func readFaults(t *testing.T) []fault {
	t.Helper()
	b, err := os.ReadFile("testdata/faults.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []fault
	_, text, _ := strings.Cut("\n"+string(b), "\n== ") // what is before the first is a comment
	for entry := range strings.SplitSeq(text, "\n== ") {
		head, rest, ok := strings.Cut(entry, "\n-- find\n")
		find, replace, ok2 := strings.Cut(rest, "\n-- replace\n")
		lines := strings.Split(head, "\n")
		if !ok || !ok2 || len(lines) != 3 {
			t.Fatalf("entry %q: want a name, file, suite, -- find and -- replace", lines[0])
		}
		f := fault{name: lines[0], find: find, replace: strings.TrimRight(replace, "\n")}
		f.file = strings.TrimPrefix(lines[1], "file ")
		f.suite = strings.TrimPrefix(lines[2], "suite ")
		if _, ok := suites[f.suite]; !ok {
			t.Fatalf("%s: no suite %q", f.name, f.suite)
		}
		out = append(out, f)
	}
	return out
}

// root is the repository's.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// apply writes the file with the fault to dir and returns the overlay that puts
// it in place.
func (f *fault) apply(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(root(t), f.file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), f.find); n != 1 {
		t.Fatalf("%s: %s has the piece %d times, want once:\n%s", f.name, f.file, n, f.find)
	}
	bad := filepath.Join(dir, "bad.go")
	if err := os.WriteFile(bad, []byte(strings.Replace(string(b), f.find, f.replace, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: bad}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// errCaught says that a suite failed, as it should.
var errCaught = errors.New("the suite fails")

// build makes a suite's test binary; without a fault overlay is "".
func (s suite) build(ctx context.Context, t *testing.T, dir, overlay string) string {
	t.Helper()
	bin := filepath.Join(dir, "suite.test")
	args := []string{"test", "-c", "-o", bin}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, s.pkg)...)
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", s.pkg, err, out)
	}
	return bin
}

// run runs a suite's binary in its package's directory. errCaught is its failure,
// or that it hangs.
func (s suite) run(ctx context.Context, t *testing.T, bin string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, s.args...)
	cmd.Dir = filepath.Join(root(t), s.pkg)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "it hangs", errCaught
	case errors.As(err, &exit):
		return firstWords(out.String()), errCaught
	}
	t.Fatalf("run %s: %v", s.pkg, err)
	return "", nil
}

// firstWords is the line of a failure's output that says most.
func firstWords(out string) string {
	for line := range strings.SplitSeq(out, "\n") {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "left out:") {
			continue
		}
		if strings.Contains(line, "_test.go:") || strings.HasPrefix(line, "panic:") || strings.Contains(line, "run.go:") {
			return line[:min(len(line), 200)]
		}
	}
	return out[:min(len(out), 200)]
}

// Every fault is caught. A suite without a fault passes: that is looked at
// first, for what always fails catches everything.
func TestFaultsAreCaught(t *testing.T) {
	all := readFaults(t)
	n := *faults
	switch {
	case n == 0 && testing.Short():
		n = short
	case n == 0:
		n = len(all)
	}
	sound := map[string]bool{}
	caught, ran := 0, 0
	for i := range all {
		f := &all[i]
		if *only != "" && !strings.Contains(f.name, *only) || *only == "" && ran >= n {
			continue
		}
		ran++
		s := suites[f.suite]
		if !sound[f.suite] {
			sound[f.suite] = true
			dir := t.TempDir()
			if out, err := s.run(t.Context(), t, s.build(t.Context(), t, dir, "")); err != nil {
				t.Fatalf("suite %s fails without a fault: %s", f.suite, out)
			}
		}
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			bin := s.build(t.Context(), t, dir, f.apply(t, dir))
			start := time.Now()
			out, err := s.run(t.Context(), t, bin)
			took := time.Since(start).Round(100 * time.Millisecond)
			if !errors.Is(err, errCaught) {
				t.Errorf("%s: suite %q passes in %v: the fault is not caught", f.file, f.suite, took)
				return
			}
			caught++
			t.Logf("caught by %q in %v: %s", f.suite, took, out)
		})
	}
	t.Logf("%d of %d faults caught; the list has %d", caught, ran, len(all))
}

// The list fits the source: each piece is there once, so that none is dead.
func TestFaultsApply(t *testing.T) {
	names := map[string]bool{}
	for _, f := range readFaults(t) {
		t.Run(f.name, func(t *testing.T) {
			if names[f.name] {
				t.Error("there are two of that name")
			}
			names[f.name] = true
			f.apply(t, t.TempDir())
			if f.find == f.replace {
				t.Error(fmt.Errorf("the fault changes nothing"))
			}
		})
	}
}
