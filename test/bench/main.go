// Bench measures what it costs that programs can be stopped: the figures of
// doc/benchmarks.md.
//
//	go run ./test/bench                    all of it, some ten minutes
//	go run ./test/bench -quick             the same in small
//	go run ./test/bench -only programs -programs sqlite,go -runs 9
//
//	go run ./test/bench -only start        how long it takes until a program runs
//	go run ./test/bench -only start -programs hello,cpython,ruby
//
// Each measured run is a process of its own, which counts its own CPU time from
// just before the guest begins until it is gone; loading and compiling come
// before. Variants take turns (A B C D A B C D …), or run at the same time on
// one CPU, and what is compared is the ratio within a round, so that a busy
// machine matters little.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/guests"
)

func main() {
	if spec, ok := os.LookupEnv(childVar); ok {
		child(spec)
		return
	}
	if spec, ok := os.LookupEnv(microVar); ok {
		microChild(spec)
		return
	}
	var b bench
	only := flag.String("only", "", "sections, with commas between: "+strings.Join(sectionNames(), ","))
	names := flag.String("programs", "", "guests, with commas between; empty is all of the table")
	flag.BoolVar(&b.quick, "quick", false, "small runs, few of them")
	flag.IntVar(&b.runs, "runs", 0, "rounds of each comparison; 0 is 7, or 3 with -quick")
	flag.Parse()
	if b.runs == 0 {
		b.runs = 7
		if b.quick {
			b.runs = 3
		}
	}
	if err := b.run(split(*only), split(*names)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// A bench is one run of this program.
type bench struct {
	quick    bool
	runs     int
	names    []string // of programs; empty is all
	tmp      string
	gate     *gate // runs share one CPU, and begin together
	programs []program
}

// A program is a guest at a scale for some tenths of a second of CPU.
type program struct {
	guests.Guest
	scale          int
	path, asyncify string
	args           []string
	printed        [sha256.Size]byte
}

// scales are the programs of the table.
var scales = []struct {
	name  string
	scale int
}{
	{"cpython", 1}, {"sqlite", 8}, {"quickjs", 8}, {"lua", 16},
	{"go", 2}, {"go-json", 2}, {"go-regexp", 10},
	{"gzip", 12}, {"bzip2", 10}, {"sha256", 6}, {"nbody", 20},
	{"fib", 50}, {"matmul", 6}, {"interp", 6}, {"sort", 6},
}

var sections = []struct {
	name string
	run  func(*bench) error
}{
	{"programs", (*bench).runPrograms},
	{"safepoints", (*bench).runSafepoints},
	{"compile", (*bench).runCompile},
	{"frames", (*bench).runFrames},
	{"loops", (*bench).runLoops},
	{"exceptions", (*bench).runExceptions},
	{"threads", (*bench).runThreads},
	{"latency", (*bench).runLatency},
	{"idle", (*bench).runIdle},
	{"peel", (*bench).runPeel},
	{"start", (*bench).runStart},
}

// alone are the sections that need no program of the table.
var alone = []string{"start", "frames", "loops", "exceptions", "threads", "latency", "idle"}

func sectionNames() (out []string) {
	for _, s := range sections {
		out = append(out, s.name)
	}
	return out
}

func (b *bench) run(only, names []string) (err error) {
	if b.tmp, err = os.MkdirTemp("", "stasis-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	b.names = names
	for _, n := range only {
		if !slices.Contains(sectionNames(), n) {
			return fmt.Errorf("no section %q; there are %s", n, strings.Join(sectionNames(), ", "))
		}
	}
	if len(only) == 0 || slices.ContainsFunc(only, func(s string) bool { return !slices.Contains(alone, s) }) {
		if err := b.findPrograms(names); err != nil {
			return err
		}
	}
	fmt.Printf("%s/%s, %d CPUs, %s, %s%s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(),
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), load())
	for _, s := range sections {
		if len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		begin := time.Now()
		fmt.Printf("\n## %s\n\n", s.name)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("\n(%s: %.0f s%s)\n", s.name, time.Since(begin).Seconds(), load())
	}
	return nil
}

// load is what else the machine is doing, where that can be told.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	f := strings.Fields(string(b))
	return ", load " + f[0]
}

func (b *bench) findPrograms(names []string) error {
	for _, s := range scales {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		g, err := guests.Lookup(s.name)
		if err != nil {
			return err
		}
		p := program{Guest: g, scale: s.scale}
		if b.quick {
			p.scale = max(1, s.scale/3)
		}
		p.args = append([]string{g.Name}, g.ArgsAt(p.scale)...)
		if p.path, err = guests.Path(context.Background(), g.Name); err != nil {
			fmt.Printf("%s left out: %v\n", g.Name, err)
			continue
		}
		if p.asyncify, err = guests.Asyncified(context.Background(), g.Name); err != nil {
			fmt.Printf("%s: no Asyncify: %v\n", g.Name, err)
		}
		b.programs = append(b.programs, p)
	}
	return nil
}

// spec is a run of a program; every run has a root of its own.
func (b *bench) spec(p *program) (childSpec, error) {
	root, err := os.MkdirTemp(b.tmp, "root-")
	if err != nil {
		return childSpec{}, err
	}
	if err := p.Place(root); err != nil {
		return childSpec{}, err
	}
	return childSpec{File: p.path, Args: p.args, Env: p.Env, Root: root, Cache: filepath.Join(b.tmp, "cache"), gate: b.gate, Gated: b.gate != nil}, nil
}

// measure runs a program in a child and checks what it printed.
func (b *bench) measure(p *program, change func(*childSpec)) (childResult, error) {
	s, err := b.spec(p)
	if err != nil {
		return childResult{}, err
	}
	defer os.RemoveAll(s.Root)
	change(&s)
	r, out, err := s.run()
	if err != nil {
		return r, fmt.Errorf("%s: %w", p.Name, err)
	}
	sum := sha256.Sum256(out)
	if p.printed == [sha256.Size]byte{} {
		p.printed = sum
	}
	if sum != p.printed {
		return r, fmt.Errorf("%s: prints something else on %+v", p.Name, s)
	}
	return r, nil
}

func (s *childSpec) run() (r childResult, stdout []byte, err error) {
	spec, err := json.Marshal(s)
	if err != nil {
		return r, nil, err
	}
	return runSelf[childResult](childVar, string(spec), s.gate)
}

// startPinned starts a process on the first CPU that this one may use.
func startPinned(cmd *exec.Cmd) error {
	runtime.LockOSThread() // a child begins with the CPUs of the thread that makes it
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range 8 * int(unsafe.Sizeof(all)) {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &all))
}

// A gate holds children that share a CPU until all of them have come so far.
// Each writes a byte when it has, and waits for the end of a file.
type gate struct {
	coming sync.WaitGroup
	open   chan struct{} // closed when all have come
}

func newGate(n int) *gate {
	g := &gate{open: make(chan struct{})}
	g.coming.Add(n)
	go func() {
		g.coming.Wait()
		close(g.open)
	}()
	return g
}

// pass waits for a child and then for the others. A child that ended instead is
// not waited for.
func (g *gate) pass(result io.Reader) error {
	_, err := result.Read(make([]byte, 1))
	g.coming.Done()
	<-g.open
	return err
}

// runSelf runs this program as a child and reads its result.
func runSelf[T any](name, spec string, g *gate) (r T, stdout []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, nil, err
	}
	rd, wr, err := os.Pipe()
	if err != nil {
		return r, nil, err
	}
	defer rd.Close()
	var out, errs bytes.Buffer
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), name+"="+spec)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &errs, []*os.File{wr}
	if g == nil {
		err = cmd.Start()
	} else {
		hold, release, perr := os.Pipe()
		if perr != nil {
			return r, nil, perr
		}
		defer release.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, hold)
		err = startPinned(cmd)
		hold.Close()
		wr.Close()
		if perr := g.pass(rd); err == nil && perr != nil {
			errs.WriteString("ended before its guest began: ")
		}
		release.Close()
	}
	wr.Close()
	if err != nil {
		return r, nil, err
	}
	derr := json.NewDecoder(rd).Decode(&r)
	if err := cmd.Wait(); err != nil {
		return r, nil, fmt.Errorf("child: %w: %s", err, errs.Bytes())
	}
	if derr != nil {
		return r, nil, fmt.Errorf("child's result: %w", derr)
	}
	if c, ok := any(r).(childResult); ok && (c.Error != "" || c.Exit != 0) {
		return r, nil, fmt.Errorf("child: exit %d: %s %s", c.Exit, c.Error, errs.Bytes())
	}
	return r, out.Bytes(), nil
}
