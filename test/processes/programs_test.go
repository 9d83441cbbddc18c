package processes

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
)

// TestMain keeps Go's collector from starting behind a looping guest.
func TestMain(m *testing.M) {
	flag.Parse()
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// patience is what no program takes unless it hangs.
const patience = 2 * time.Minute

// modules are the modules of a program.
func modules(name string) []string {
	if name == "forkthrow" {
		return []string{"forkthrow-legacy", "forkthrow-exnref"}
	}
	return []string{name}
}

// A subject is a program and what it must print of an errand.
type subject struct {
	name string
	code []byte
	errand
	want string
}

// long reports whether a program has much to compute.
func (s *subject) long() bool {
	return s.name == "forktree" || s.name == "pipeline" || s.name == "storm"
}

// subjects are the programs, and the shell with each of its scripts.
func subjects(t *testing.T) (out []subject) {
	t.Helper()
	for _, name := range programs(t) {
		for _, module := range modules(name) {
			s := subject{name: module, code: []byte(read(t, "testdata/"+module+".wasm")), want: read(t, "testdata/want/"+name+".txt")}
			switch name { // they execute themselves
			case "exec":
				s.args, s.files = []string{"/job/exec.wasm"}, map[string][]byte{"exec.wasm": s.code}
			case "spawn":
				s.files = map[string][]byte{"spawn": s.code}
			}
			out = append(out, s)
		}
	}
	shell := []byte(read(t, "testdata/sh.wasm"))
	for _, script := range scripts(t) {
		name := filepath.Base(script)
		out = append(out, subject{
			name: "sh-" + strings.TrimSuffix(name, ".sh"), code: shell, want: read(t, strings.TrimSuffix(script, ".sh")+".txt"),
			errand: errand{args: []string{"/job/" + name}, files: map[string][]byte{name: []byte(read(t, script))}},
		})
	}
	return out
}

// run runs a program to its end.
func (p *program) run(t testing.TB, e errand, stress kernel.Stress) string {
	t.Helper()
	w := p.boot(t, e, stress)
	defer w.close()
	return w.start().ends()
}

// saved runs a program and saves and wakes all its processes again and again.
func (p *program) saved(t *testing.T, s *subject) {
	t.Helper()
	most := 30
	if testing.Short() {
		most = 8
	}
	w, n, ok := p.boot(t, s.errand, kernel.Stress{}).start(), 0, true
	defer func() { w.close() }()
	for ; ok && n < most; n++ {
		for was, end := w.cpu(), time.Now().Add(5*time.Millisecond); time.Now().Before(end) && w.cpu() < was+200_000; {
			runtime.Gosched()
		}
		if w, ok = w.elsewhere(filepath.Join(t.TempDir(), strconv.Itoa(n))); ok {
			w.start()
		}
	}
	if got := w.ends(); got != s.want {
		t.Errorf("saved %d times: got %s\nwant %s", n, got, s.want)
	}
	t.Logf("saved %d times", n)
}

// cpu is how long the first process has computed.
func (w *world) cpu() int64 { return w.k.Init().CPUTime() }

// counted are the options for programs that are unwound at every n-th safepoint.
var counted = wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly}

// Programs do what they do on Linux: left alone, with all processes unwound at
// every safepoint and before every call, stopped there or not, and saved and woken
// meanwhile.
func TestPrograms(t *testing.T) { everyWay(t, subjects(t), 1, 7) }

// everyWay runs programs so; unwound they are at every n-th safepoint, for some n.
func everyWay(t *testing.T, list []subject, every ...int32) {
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) {
			alone := compile(t, s.code, wazero.Options{})
			if got := alone.run(t, s.errand, kernel.Stress{}); got != s.want {
				t.Fatalf("left alone: got %s\nwant %s", got, s.want)
			}
			alone.saved(t, &s)
			if testing.Short() && s.long() {
				return
			}
			everywhere := compile(t, s.code, counted)
			for _, every := range every {
				for _, stop := range []bool{false, true} {
					stress := kernel.Stress{Every: every}
					if stop {
						stress.Stopped = func(s *kernel.ExternalStop) { s.End() }
					}
					if got := everywhere.run(t, s.errand, stress); got != s.want {
						t.Errorf("every %d, stops %v: got %s\nwant %s", every, stop, got, s.want)
					}
				}
			}
		})
	}
}
