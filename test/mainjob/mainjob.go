// Package mainjob does to real programs what Stasis is for: it starts one,
// saves it at a random moment in the middle of its calls, ends its process,
// deletes its file, and wakes it in a fresh process with an empty cache; again
// and again, until it has come to its end. What it has printed by then, put
// together, must be byte for byte what an undisturbed run prints.
//
// All of it goes through package stasis, whose processes are started from the
// stasis program, as in a user's own program.
//
// # Where a killed process was
//
// A process that is ended by its checkpoint has printed what came before the
// image and nothing else. One that runs on and is killed later has printed
// more, and its log does not say how much of that came before. So a Chain keeps
// the set of places in the reference where the guest may stand: after a kill,
// all places between what the log had before the checkpoint was asked for and
// what it had when the checkpoint was done, as far as the log agrees with the
// reference. The next process's output must go on from one of them, and the
// last one's must end where the reference ends.
package mainjob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/guests"
)

// deadline bounds each call. Compiling CPython with an empty cache takes 10
// seconds, Yosys a minute and a half, and more beside other tests.
const deadline = 8 * time.Minute

// lifetime bounds each guest, should the one who started it be killed.
const lifetime = 10 * time.Minute

// poll is how often a log is looked at.
const poll = time.Millisecond

// A Job is a guest with its arguments, in directories of its own.
type Job struct {
	Guest  guests.Guest
	Args   []string
	Module string // its file; copied for each chain
	Stasis string // the command
	Data   string // a directory of the host that the guest reads at /data; "" is none
	Warm   bool   // hosts that a guest is woken on have the code of its module

	dir     string
	scripts string // where the guest's files are on the host, "" if it has none
	chains  int
}

// scriptsDir is where a guest finds its files. The rest of its root, where it
// may write, is in memory and so in the image.
const scriptsDir = "/scripts"

// NewJob prepares a guest in dir, which must be empty.
func NewJob(stasis, module string, g guests.Guest, args []string, dir string) (*Job, error) {
	j := &Job{Guest: g, Module: module, Stasis: stasis, dir: dir}
	for _, a := range args {
		for _, f := range g.Files {
			if a == f.Path {
				a = scriptsDir + a
			}
		}
		j.Args = append(j.Args, a)
	}
	if len(g.Files) > 0 {
		j.scripts = filepath.Join(dir, "scripts")
		if err := g.Place(j.scripts); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// spec describes the guest's system; module is "" for one that is woken.
func (j *Job) spec(module string) stasis.Spec {
	s := stasis.Spec{Module: module, Timeout: lifetime}
	if j.scripts != "" {
		s.Dirs = []stasis.Dir{{Host: j.scripts, Guest: scriptsDir, ReadOnly: true}}
	}
	if j.Data != "" {
		s.Dirs = append(s.Dirs, stasis.Dir{Host: j.Data, Guest: "/data", ReadOnly: true})
	}
	if module != "" {
		s.Args, s.Env = append([]string{filepath.Base(j.Module)}, j.Args...), j.Guest.Env
	}
	return s
}

// Reference runs the guest undisturbed. It returns what it prints and the CPU
// time that it took, compiling not counted.
func (j *Job) Reference(ctx context.Context) ([]byte, time.Duration, error) {
	h, err := j.newHost(home)
	if err != nil {
		return nil, 0, err
	}
	s, err := h.run(ctx, "undisturbed", j.spec(j.Module))
	if err != nil {
		return nil, 0, err
	}
	defer s.Close()
	var took time.Duration
	for {
		p, err := s.Properties(ctx)
		if err != nil {
			return nil, 0, err
		}
		if !p.State.Running() {
			break
		}
		if p.Status != nil {
			took = time.Duration(p.Status.CPU)
		}
		time.Sleep(10 * poll)
	}
	x, err := s.Wait(ctx)
	if err != nil {
		return nil, 0, err
	}
	out, err := printed(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	if x.Code != 0 {
		return nil, 0, fmt.Errorf("undisturbed run: exit code %d; it printed at last: %s", x.Code, tail(out))
	}
	return out, took, nil
}

// cpuTime is what a running guest has used; ok is false of one that has ended.
func cpuTime(ctx context.Context, s *stasis.System) (cpu time.Duration, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p, err := s.Properties(ctx)
	if err != nil || p.Status == nil {
		return 0, p.State.Running(), err
	}
	return time.Duration(p.Status.CPU), true, nil
}

// printed is what a system has printed.
func printed(ctx context.Context, s *stasis.System) (out []byte, err error) {
	err = s.Logs(ctx, stasis.LogOptions{Tail: -1}, func(r stasis.Record) error {
		out = append(out, r.Data...)
		return nil
	})
	return out, err
}

// newHost is a machine that has never seen the guest: no systems, no cache.
func (j *Job) newHost(name string) (*host, error) {
	h := &host{stasis.Host{
		Home: filepath.Join(j.dir, name, "state"), Cache: filepath.Join(j.dir, name, "cache"), Executable: j.Stasis,
	}}
	if j.Warm {
		h.Cache = filepath.Join(j.dir, home, "cache")
	}
	return h, os.MkdirAll(h.Cache, 0o700)
}

type host struct{ stasis.Host }

// run starts a system in the background.
func (h *host) run(ctx context.Context, name string, spec stasis.Spec) (*stasis.System, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return h.Run(ctx, stasis.Options{Name: name, Spec: spec})
}

// home is the host where a job runs undisturbed and where its chains begin.
const home = "home"

// A Chain is one guest on its way through saves and wakes.
type Chain struct {
	job   *Job
	want  []byte
	dir   string
	now   *host
	sys   *stasis.System // on now
	image string         // the last
	wakes int

	name string // of sys

	// places are where in want the guest may have stood when the process that
	// runs now began; see the package comment.
	places []int
}

// Saved says how a save went.
type Saved struct {
	Printed int           // bytes that the process had printed when it was asked for
	Lines   int           // the same in lines
	Frames  int           // calls that the guest was in
	Stop    time.Duration // from the request until the guest stood still
	Stopped time.Duration // how long it stood still
	Total   time.Duration
	Memory  int64 // of the guest, bytes
	Image   int64 // on disk, bytes
	PID     int   // of the process that is gone
	Killed  bool
}

// ErrEnded says that the guest came to its end before it could be saved.
var ErrEnded = errors.New("the guest has ended")

// Start copies the module and starts the guest from the copy, on the host of
// the undisturbed run. want is what it must print in all.
func (j *Job) Start(ctx context.Context, want []byte) (*Chain, error) {
	j.chains++
	c := &Chain{job: j, want: want, dir: "chain" + strconv.Itoa(j.chains), places: []int{0}}
	c.name = c.dir
	var err error
	if c.now, err = j.newHost(home); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(j.Module)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(c.module()), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.module(), b, 0o600); err != nil {
		return nil, err
	}
	c.sys, err = c.now.run(ctx, c.name, j.spec(c.module()))
	return c, err
}

func (c *Chain) module() string { return filepath.Join(c.job.dir, c.dir, "program.wasm") }

// Printed returns what the process that runs now has printed.
func (c *Chain) Printed() ([]byte, error) { return printed(context.Background(), c.sys) }

// At returns how far the guest has come at the least, in bytes of what it must
// print.
func (c *Chain) At() (int, error) {
	b, err := c.Printed()
	return c.places[0] + len(b), err
}

// AwaitOutput waits until the guest has come to a place in what it must print.
func (c *Chain) AwaitOutput(ctx context.Context, place int) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		p, err := c.sys.Properties(ctx) // before the log is looked at
		if err != nil {
			return err
		}
		if at, err := c.At(); err != nil || at >= place {
			return err
		}
		if !p.State.Running() {
			return c.whyEnded(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for output: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
}

// AwaitCPU waits until the guest has used so much more CPU time. A guest that
// has ended is for Save to find.
func (c *Chain) AwaitCPU(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for from := time.Duration(-1); ; {
		cpu, ok, err := cpuTime(ctx, c.sys)
		if err != nil || !ok {
			return err
		}
		if from < 0 {
			from = cpu
		}
		if cpu-from >= d {
			return nil
		}
		time.Sleep(poll)
	}
}

// whyEnded is ErrEnded, or what is wrong with the end.
func (c *Chain) whyEnded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	x, err := c.sys.Wait(ctx)
	if err != nil {
		return err
	}
	if x.Code != 0 || x.Error != "" {
		log, _ := c.Printed() // best effort, for the message
		return fmt.Errorf("the guest ended: exit code %d %s %s; it printed at last: %s", x.Code, x.Trap, x.Error, tail(log))
	}
	return ErrEnded
}

func tail(b []byte) []byte { return b[max(0, len(b)-600):] }

// Save saves the guest where it is. With kill, it runs on after that, and its
// process is killed by kill -9 at some moment later; without, the checkpoint
// ends it. Then the program's file is deleted.
func (c *Chain) Save(ctx context.Context, kill bool) (Saved, error) {
	s := Saved{Killed: kill}
	p, err := c.sys.Properties(ctx)
	if err != nil {
		return s, err
	}
	s.PID = p.PID
	image := filepath.Join(c.job.dir, c.dir, "image"+strconv.Itoa(c.wakes))
	if err := os.RemoveAll(image); err != nil {
		return s, err
	}
	before, err := c.Printed()
	if err != nil {
		return s, err
	}
	s.Printed, s.Lines = len(before), bytes.Count(before, []byte("\n"))
	saving, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	st, err := c.sys.Checkpoint(saving, stasis.CheckpointOptions{Dir: image, Leave: kill})
	if err != nil {
		if whyEnded := c.whyEnded(ctx); stasis.KindOf(whyEnded) != stasis.Timeout {
			return s, whyEnded
		}
		return s, err
	}
	s.took(&st)
	after, err := c.Printed()
	if err != nil {
		return s, err
	}
	if kill {
		if err := killProcess(p.PID); err != nil {
			return s, err
		}
	}
	if err := c.awaitEnd(ctx); err != nil {
		return s, err
	}
	log, err := c.Printed()
	if err != nil {
		return s, err
	}
	first, last := len(before), len(after)
	if !kill {
		first, last = len(log), len(log)
	}
	if err := c.moveOn(log, first, last); err != nil {
		return s, err
	}
	if s.Image, err = size(image); err != nil {
		return s, err
	}
	c.image = image
	return s, ignoreMissing(os.Remove(c.module()))
}

// SaveAtRandom saves at a random moment: when the guest has come somewhere
// between the last save and an even share of what is left for n-round saves, and
// has used some of the CPU time after that which it takes in all. Saves take
// turns between ending the guest and letting it be killed. A guest that came to
// its end before that is started again where it last was; late is told so.
func (c *Chain) SaveAtRandom(ctx context.Context, r *rand.Rand, cpu time.Duration, round, n int, late func()) (Saved, error) {
	const tries = 5
	for try := 1; ; try++ {
		at, err := c.At()
		if err != nil {
			return Saved{}, err
		}
		// A program may print its last lines all at once: then only time is left.
		if share := (len(c.want) - at) / (n - round + 1); share > 0 && try == 1 {
			at += r.IntN(share)
		}
		err = c.AwaitOutput(ctx, at)
		if err == nil {
			err = c.AwaitCPU(ctx, time.Duration(r.Int64N(int64(cpu)/int64(try*4*(n+1))+1)))
		}
		var s Saved
		if err == nil {
			s, err = c.Save(ctx, (round+try)%2 == 0)
		}
		if !errors.Is(err, ErrEnded) || try == tries {
			return s, err
		}
		late()
		if err := c.Again(ctx); err != nil {
			return s, err
		}
	}
}

// moveOn takes a log for what the process printed, of which first to last
// bytes came before the image.
func (c *Chain) moveOn(log []byte, first, last int) error {
	var places []int
	for _, p := range c.places {
		if !bytes.HasPrefix(c.want[p:], log) {
			continue
		}
		for n := first; n <= last; n++ {
			places = append(places, p+n)
		}
	}
	if len(places) == 0 {
		return c.differs(log)
	}
	c.places = places
	return nil
}

// differs says where a log departs from what it should be.
func (c *Chain) differs(log []byte) error {
	best, at := -1, 0
	for _, p := range c.places {
		n := 0
		for n < len(log) && p+n < len(c.want) && log[n] == c.want[p+n] {
			n++
		}
		if n > best {
			best, at = n, p
		}
	}
	return fmt.Errorf("output differs after %d bytes of this process, %d in all: got %q, want %q", best, at+best,
		log[best:min(len(log), best+120)], c.want[at+best:min(len(c.want), at+best+120)])
}

// killProcess is kill -9.
func killProcess(pid int) error {
	if pid <= 1 {
		return fmt.Errorf("kill: process %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill -9 %d: %w", pid, err)
	}
	return nil
}

func (c *Chain) awaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	_, err := c.sys.Wait(ctx)
	return err
}

// Wake wakes the guest from its last image in a fresh process on a host that
// has never seen it. It returns how long that took.
func (c *Chain) Wake(ctx context.Context) (time.Duration, error) {
	if _, err := os.Stat(c.module()); !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s: the program's file should be gone: %w", c.module(), err)
	}
	c.wakes++
	h, err := c.job.newHost(filepath.Join(c.dir, "host"+strconv.Itoa(c.wakes)))
	if err != nil {
		return 0, err
	}
	start := time.Now()
	spec := c.job.spec("")
	spec.Image = c.image
	s, err := h.run(ctx, c.name, spec)
	if err != nil {
		return 0, err
	}
	took := time.Since(start)
	c.now, c.sys = h, s
	return took, nil
}

// Again starts or wakes the guest once more where it last was before it came to
// its end.
func (c *Chain) Again(ctx context.Context) error {
	if c.image != "" {
		_, err := c.Wake(ctx)
		return err
	}
	c.name += "-again"
	s, err := c.now.run(ctx, c.name, c.job.spec(c.module()))
	if err == nil {
		c.sys = s
	}
	return err
}

// Finish lets the guest run to its end and compares what it printed.
func (c *Chain) Finish(ctx context.Context) error {
	x, err := c.sys.Wait(ctx)
	if err != nil {
		return err
	}
	log, err := c.Printed()
	if err != nil {
		return err
	}
	if x.Code != 0 {
		return fmt.Errorf("exit code %d, want 0; it printed at last: %s", x.Code, tail(log))
	}
	if err := c.moveOn(log, len(log), len(log)); err != nil {
		return err
	}
	for _, p := range c.places {
		if p == len(c.want) {
			return nil
		}
	}
	return fmt.Errorf("output ends at byte %d, want %d", c.places[len(c.places)-1], len(c.want))
}

// Close ends what still runs.
func (c *Chain) Close() error {
	if c.sys == nil {
		return nil // it never started
	}
	return c.sys.Terminate(context.Background())
}

// took notes what a checkpoint says of itself.
func (s *Saved) took(st *stasis.Stats) {
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	s.Frames, s.Memory = int(st.Frames), st.Memory
	s.Stop, s.Stopped, s.Total = us(st.TimeToStop), us(st.Stopped), us(st.Total)
}

// size is what the files of an image take.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
