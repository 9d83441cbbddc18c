package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Config sets up a run. Only New is needed.
type Config struct {
	// New makes a host; each command file gets one of its own.
	New func(ctx context.Context, suite string) (Host, error)

	Suites   []string      // nil is all of Suites
	Dir      string        // holds the suites; "" is the wazero module's, in the module cache
	Deadline time.Duration // for a command file; 0 is two minutes

	// Skip names commands that are not carried out, and why:
	// "suite/file.json" or "suite/file.json:line". An entry that matches
	// nothing in a file that ran is an error.
	Skip map[string]string

	// Want, if not nil, is what the counts of each suite have to be, so that
	// a command that is silently skipped shows. Suites without an entry are
	// not compared. It is ignored when -run picks single files.
	Want map[string]Counts
}

// graceAfterDeadline is how long a host may take to give up when its context
// ends. After it the process ends: compiled guest code that does not look up
// can't be stopped in any other way, and the collector would wait for it.
const graceAfterDeadline = 10 * time.Second

// maxErrors is how many failures of a file are printed.
const maxErrors = 20

// Run runs all command files as subtests named suite/file and returns the
// counts. It must not run beside other tests of the process: it holds the
// collector back while guest code runs, because a collection that begins
// beside a guest that hangs would hang too, and the deadline with it.
func Run(t *testing.T, cfg Config) Counts {
	t.Helper()
	if cfg.Dir == "" {
		dir, err := findDir()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Dir = dir
	}
	if cfg.Suites == nil {
		cfg.Suites = Suites
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = 2 * time.Minute
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))

	all := newTally()
	for _, suite := range cfg.Suites {
		t.Run(suite, func(t *testing.T) { cfg.runSuite(t, suite, all) })
	}
	t.Logf("specification tests:\n%v", all)
	return all.total()
}

// runSuite runs the command files of one directory.
func (cfg *Config) runSuite(t *testing.T, suite string, all *tally) {
	files, err := scriptsOf(cfg.Dir, suite)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			c, why := cfg.runFile(t, suite, file)
			all.add(suite, c, why)
			ran++
		})
		runtime.GC()
	}
	if want, ok := cfg.Want[suite]; ok && ran == len(files) && all.suites[suite] != want {
		t.Errorf("suite %s: %v; want %v", suite, all.suites[suite], want)
	}
}

// runFile runs one command file under the deadline.
func (cfg *Config) runFile(t *testing.T, suite, file string) (Counts, map[string]int) {
	dir := filepath.Join(cfg.Dir, suite, "testdata")
	s, err := readScript(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Deadline)
	defer cancel()
	h, err := cfg.New(ctx, suite)
	if err != nil {
		t.Fatalf("make a host: %v", err)
	}
	f := &fileRun{
		name: suite + "/" + file, exec: newExecutor(dir, h), skip: cfg.Skip,
		why: map[string]int{}, skipped: map[string]bool{},
	}
	f.runWatched(ctx, s, filepath.Join(cfg.Dir, "testdata", "spectest.wasm"))
	f.checkSkipTable(s)
	if r, ok := h.(Reporter); ok {
		t.Logf("%s: %s", f.name, r.Report())
	}
	if err := h.Close(); err != nil {
		f.errs = append(f.errs, fmt.Errorf("close the host: %w", err))
	}
	for i, err := range f.errs {
		if i == maxErrors {
			t.Errorf("%s: … and %d more", f.name, len(f.errs)-i)
			break
		}
		t.Error(err)
	}
	t.Logf("%s: %v", f.name, f.counts)
	return f.counts, f.why
}

// A fileRun is one command file on its way through a host. Its fields belong
// to the goroutine that runs the script, and after it to runFile.
type fileRun struct {
	name string
	exec *executor
	skip map[string]string

	counts  Counts
	why     map[string]int  // skips by reason
	skipped map[string]bool // entries of the skip table that matched
	errs    []error
}

// runWatched runs the script on a goroutine of its own and ends the process if
// it outlives the deadline and the grace.
func (f *fileRun) runWatched(ctx context.Context, s *script, spectest string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.run(ctx, s, spectest)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(graceAfterDeadline):
		fmt.Fprintf(os.Stderr, "%s:%d: hangs; the process ends\n", f.name, f.exec.line.Load())
		os.Exit(2)
	}
}

// run carries out the commands. After the deadline the rest fails.
func (f *fileRun) run(ctx context.Context, s *script, spectest string) {
	if err := f.exec.setup(ctx, spectest); err != nil {
		f.errs = append(f.errs, err)
	}
	for i := range s.Commands {
		c := &s.Commands[i]
		f.exec.line.Store(int64(c.Line))
		if err := ctx.Err(); err != nil {
			f.note(c, fmt.Errorf("not reached: %w", err))
			continue
		}
		f.note(c, f.doOrSkip(ctx, c))
	}
}

// doOrSkip carries out c unless the skip table names it.
func (f *fileRun) doOrSkip(ctx context.Context, c *command) error {
	for _, key := range []string{f.name, fmt.Sprintf("%s:%d", f.name, c.Line)} {
		reason, ok := f.skip[key]
		if !ok {
			continue
		}
		f.skipped[key] = true
		err := &skipError{reason}
		if c.Type == "module" {
			f.exec.current = slot{why: err}
			f.exec.named[c.Name] = slot{why: err}
		}
		return err
	}
	return f.exec.do(ctx, c)
}

// note counts the outcome of c.
func (f *fileRun) note(c *command, err error) {
	if err == nil {
		f.counts.Passed++
		return
	}
	if skip := (*skipError)(nil); errors.As(err, &skip) {
		f.counts.Skipped++
		f.why[skip.reason]++
		return
	}
	f.counts.Failed++
	what := c.Type
	if c.Action.Field != "" {
		what += fmt.Sprintf(" %s%v", c.Action.Field, c.Action.Args)
	} else if c.Filename != "" {
		what += " " + c.Filename
	}
	f.errs = append(f.errs, fmt.Errorf("%s:%d: %s: %w", f.name, c.Line, what, err))
}

// checkSkipTable reports entries for this file that matched nothing.
func (f *fileRun) checkSkipTable(s *script) {
	for key := range f.skip {
		if key == f.name || len(key) > len(f.name) && key[:len(f.name)+1] == f.name+":" {
			if !f.skipped[key] {
				f.errs = append(f.errs, fmt.Errorf("skip table: %s matches no command", key))
			}
		}
	}
}
