package realmodules_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/test/mainjob"
	"github.com/stasis-run/stasis/test/realmodules"
)

var (
	all     = flag.Bool("all", false, "run all modules, also the large ones: an hour")
	only    = flag.String("only", "", "run these modules, with commas between them")
	rounds  = flag.Int("rounds", 2, "how many times in a row each is saved and woken")
	warm    = flag.Bool("warm", false, "keep compiled code from one process to the next")
	measure = flag.Bool("measure", true, "with -record: measure compiling, which compiles twice more")
	record  = flag.Bool("record", false, "record what came of each")
	again   = flag.Bool("remeasure", false, "run nothing: measure compiling of what is recorded already")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the moments of the saves")
	results = filepath.Join("testdata", "results.json")
)

// small are the modules of a run without flags: each is had and compiled in
// seconds. They are of Rust, of C++, and one that is refused.
var small = []string{"resvg", "boolector", "micropython"}

var stasis string // the command, built for these tests

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(mainjob.Main(m.Run, &stasis))
}

func chosen(name string) bool {
	if *only != "" {
		return slices.Contains(strings.Split(*only, ","), name)
	}
	return *all || slices.Contains(small, name)
}

// Each module runs, is saved in the middle of its work and woken, and prints
// what it prints undisturbed; or is refused with the error that is expected.
func TestRealModules(t *testing.T) {
	for _, g := range guests.Real() {
		t.Run(g.Name, func(t *testing.T) {
			if !chosen(g.Name) {
				t.Skip("a large module: run with -all, or -only " + g.Name)
			}
			module, err := guests.Path(t.Context(), g.Name)
			if guests.IsUnavailable(err) {
				t.Skipf("the module cannot be had here: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if *again {
				remeasure(t, &g, module)
				return
			}
			r := describe(t, &g, module)
			if g.Refused != "" {
				r.Refused = refusal(t, &g, module)
			} else {
				chain(t, &g, module, r)
			}
			if *record && !t.Failed() {
				keep(t, r, module)
			}
		})
	}
}

func describe(t *testing.T, g *guests.Guest, module string) *realmodules.Result {
	t.Helper()
	b, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	r := &realmodules.Result{Name: g.Name, About: g.About}
	if err := r.Describe(b); err != nil {
		t.Fatal(err)
	}
	if r.Digest, err = guests.Digest(module); err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Packages {
		r.From = append(r.From, p.Registry+" "+p.Name+" "+p.Version)
	}
	return r
}

// refusal runs a module that is to be refused, and returns the error.
func refusal(t *testing.T, g *guests.Guest, module string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), stasis, "run", "--rm", module)
	cmd.Env = append(os.Environ(), "STASIS_HOME="+t.TempDir(), "XDG_CACHE_HOME="+t.TempDir(), "XDG_STATE_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("it ran, and printed %q; want it refused: %s", out, g.Refused)
	}
	// stasis: run FILE: what is wrong
	text := strings.TrimSpace(string(out))
	_, text, _ = strings.Cut(text, filepath.Base(module)+": ")
	if !strings.HasPrefix(text, g.Refused) {
		t.Errorf("refused with %q, want %q...", text, g.Refused)
	}
	return text
}

// chain runs a module undisturbed, then saves and wakes it.
func chain(t *testing.T, g *guests.Guest, module string, r *realmodules.Result) {
	t.Helper()
	ctx := t.Context()
	args := g.Args
	if testing.Short() {
		args = g.QuickArgs
	}
	j, err := mainjob.NewJob(stasis, module, *g, args, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j.Warm = *warm
	if j.Data, err = guests.DataDir(ctx, g.Name); err != nil {
		t.Fatal(err)
	}
	ref, took, err := j.Reference(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := g.Want; want != "" && !testing.Short() && string(ref) != want {
		t.Errorf("undisturbed, it printed\n%s\nwant, as on plain wazero,\n%s", ref, want)
	}
	if len(ref) == 0 {
		t.Fatal("it printed nothing: nothing would be compared")
	}
	r.Output, r.CPU = len(ref), took
	t.Logf("undisturbed: %d bytes of output, CPU time %v; seed %d", len(ref), took.Round(time.Millisecond), *seed)
	c, err := j.Start(ctx, ref)
	t.Cleanup(func() {
		if c == nil {
			return
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	for round := range *rounds {
		s, err := c.SaveAtRandom(ctx, random, took, round, *rounds, func() { t.Logf("round %d: too late; once more from there", round) })
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		wake, err := c.Wake(ctx)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		r.Wakes, r.Deepest, r.Memory = r.Wakes+1, max(r.Deepest, s.Frames), s.Memory
		t.Logf("round %d: saved after %d bytes of output of this process, in %d calls, stopped in %v, image %d KiB of %d KiB memory; woken in %v",
			round, s.Printed, s.Frames, s.Stop, s.Image>>10, s.Memory>>10, wake.Round(time.Millisecond))
	}
	if err := c.Finish(ctx); err != nil {
		t.Fatal(err)
	}
}

// remeasure measures a module whose result is recorded, and keeps all else of it.
func remeasure(t *testing.T, g *guests.Guest, module string) {
	t.Helper()
	list, err := realmodules.Read(results)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := guests.Digest(module)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Name == g.Name && r.Digest == digest && r.Refused == "" {
			keep(t, &r, module)
			return
		}
	}
	t.Skip("nothing is recorded of this module")
}

// keep measures a module and puts its result among those that are recorded, in
// the order of the catalog.
func keep(t *testing.T, r *realmodules.Result, module string) {
	t.Helper()
	if r.Refused == "" && *measure {
		b, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Measure(t.Context(), b, t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	old, err := realmodules.Read(results)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var list []realmodules.Result
	for _, g := range guests.Real() {
		if g.Name == r.Name {
			list = append(list, *r)
			continue
		}
		for _, o := range old {
			if o.Name == g.Name {
				list = append(list, o)
			}
		}
	}
	if err := realmodules.Write(results, list); err != nil {
		t.Fatal(err)
	}
}

// doc/modules.md is what was recorded, and of the modules that are pinned now.
func TestTable(t *testing.T) {
	list, err := realmodules.Read(results)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "doc", "modules.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != realmodules.Table(list) {
		t.Error("doc/modules.md is not what testdata/results.json gives: go generate ./test/realmodules")
	}
	known := map[string][]string{}
	for _, g := range guests.Real() {
		for _, p := range g.Packages {
			known[g.Name] = append(known[g.Name], p.Registry+" "+p.Name+" "+p.Version)
		}
	}
	for _, r := range list {
		if from, ok := known[r.Name]; !ok || !slices.Equal(from, r.From) {
			t.Errorf("%s: recorded of %v, pinned is %v: make real", r.Name, r.From, from)
		}
	}
}
