// Package budget holds what stasis may cost before it does anything: what its
// packages do when they are initialized. It is paid at each start of a command and
// of a host process, and grows unseen, by an import.
package budget

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what is measured to testdata")

// What is measured may be above the budget by this much: it depends a little on
// the CPU, on the architecture, and on what goroutines do meanwhile.
const (
	moreBytes  = 1.04
	moreAllocs = 1.04
	moreInits  = 1.05
	maxMillis  = 60 // all in all, on the fastest of a few starts; 1 to 3 on a quiet machine
)

// A cost is that of initializing a package.
type cost struct {
	millis        float64
	bytes, allocs int
}

func (c cost) plus(d cost) cost {
	return cost{c.millis + d.millis, c.bytes + d.bytes, c.allocs + d.allocs}
}

func total(costs map[string]cost) (sum cost) {
	for _, c := range costs {
		sum = sum.plus(c)
	}
	return sum
}

// initLine is a line of GODEBUG=inittrace=1.
var initLine = regexp.MustCompile(`^init (\S+) @\S+ ms, (\S+) ms clock, (\d+) bytes, (\d+) allocs$`)

// start starts the program once.
func start(t *testing.T, stasis string) map[string]cost {
	t.Helper()
	cmd := exec.Command(stasis, "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1", "GOMAXPROCS=1", "GOGC=off")
	var trace strings.Builder
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatalf("stasis --version: %v: %s", err, trace.String())
	}
	costs := make(map[string]cost)
	for line := range strings.Lines(trace.String()) {
		m := initLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("not a line of inittrace: %s", line)
		}
		var c cost
		c.millis, _ = strconv.ParseFloat(m[2], 64)
		c.bytes, _ = strconv.Atoi(m[3])
		c.allocs, _ = strconv.Atoi(m[4])
		costs[m[1]] = c
	}
	return costs
}

// builtStasis builds it as a release is.
func builtStasis(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "stasis")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "github.com/stasis-run/stasis/cmd/stasis")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

// TestStart keeps what is allocated before main to the budget in testdata. To
// accept a change: go test ./test/budget -update
func TestStart(t *testing.T) {
	stasis := builtStasis(t)
	got := start(t, stasis)
	fastest := total(got).millis
	for range 4 {
		again := start(t, stasis)
		fastest = min(fastest, total(again).millis)
		for name, c := range again { // the least of each
			if c.bytes < got[name].bytes {
				got[name] = c
			}
		}
	}
	file := filepath.Join("testdata", "start.txt")
	if *update {
		if err := os.WriteFile(file, format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := read(t, file)
	have, budget := total(got), total(want)
	t.Logf("%s/%s: %d packages, %d bytes, %d allocations, %.2f ms", runtime.GOOS, runtime.GOARCH, len(got), have.bytes, have.allocs, fastest)
	over := func(what string, have, budget int) {
		t.Errorf("before main, %d %s; the budget is %d:\n%s", have, what, budget, grown(got, want))
	}
	if float64(have.bytes) > moreBytes*float64(budget.bytes) {
		over("bytes", have.bytes, budget.bytes)
	}
	if float64(have.allocs) > moreAllocs*float64(budget.allocs) {
		over("allocations", have.allocs, budget.allocs)
	}
	if float64(len(got)) > moreInits*float64(len(want)) {
		over("packages have something to do", len(got), len(want))
	}
	if fastest > maxMillis {
		t.Errorf("before main, %.1f ms pass in initializing packages, at the least; the budget is %d ms", fastest, maxMillis)
	}
}

// grown tells which packages cost more than in the budget.
func grown(got, want map[string]cost) string {
	var b strings.Builder
	names := slices.SortedFunc(maps.Keys(got), func(x, y string) int {
		return cmp.Compare(got[y].bytes-want[y].bytes, got[x].bytes-want[x].bytes)
	})
	for _, n := range names {
		w, had := want[n]
		switch g := got[n]; {
		case !had:
			fmt.Fprintf(&b, "  %s: %d bytes, %d allocations: new; see go mod why -m, or go list -deps, for who imports it\n", n, g.bytes, g.allocs)
		case g.bytes > w.bytes || g.allocs > w.allocs:
			fmt.Fprintf(&b, "  %s: %d bytes, %d allocations; were %d and %d\n", n, g.bytes, g.allocs, w.bytes, w.allocs)
		}
	}
	return b.String() + "  (to accept it: go test ./test/budget -update)"
}

const head = `# What the packages in stasis allocate before main, on linux/amd64:
# package, bytes, allocations. Made by go test ./test/budget -update.
`

func format(costs map[string]cost) []byte {
	var b strings.Builder
	b.WriteString(head)
	for _, n := range slices.Sorted(maps.Keys(costs)) {
		fmt.Fprintf(&b, "%s %d %d\n", n, costs[n].bytes, costs[n].allocs)
	}
	return []byte(b.String())
}

func read(t *testing.T, file string) map[string]cost {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	costs := make(map[string]cost)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var n string
		var c cost
		if _, err := fmt.Sscan(lines.Text(), &n, &c.bytes, &c.allocs); err != nil {
			t.Fatalf("%s: %q: %v", file, lines.Text(), err)
		}
		costs[n] = c
	}
	return costs
}
