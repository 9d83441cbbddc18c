package bombs

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/test/mainjob"
)

var (
	rounds = flag.Int("rounds", 1, "how many of each bomb")
	pings  = flag.Int("pings", 200, "how many answers are measured beside each")
)

var command string // built for these tests

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(mainjob.Main(m.Run, &command))
}

// patience bounds each wait, and lifetime each guest, should the test be killed.
const (
	patience = 2 * time.Minute
	lifetime = "10m"
)

// poll is how often something is looked at that tells nobody when it changes.
const poll = 2 * time.Millisecond

// mostMemory is what no bomb's host process may ever have resident: the bound on what
// tasks are made in (1 GiB of heap), and what else they need.
const mostMemory = 4 << 30

// module is the path of a guest.
func module(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../processes/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// bombs are the guests, with their arguments.
var bombs = []struct {
	name, module string
	args         []string
}{
	{"fork bomb", "bombs.wasm", []string{"fork"}},
	{"thread bomb", "threadbomb.wasm", nil},
	{"pipe bomb", "bombs.wasm", []string{"pipe"}},
	{"descriptor bomb", "bombs.wasm", []string{"fd"}},
	{"signal storm", "bombs.wasm", []string{"signal"}},
	{"zombie flood", "bombs.wasm", []string{"zombie"}},
}

// An answerer is a system that sends back each byte that it gets.
type answerer struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

func newAnswerer(t *testing.T, home string) *answerer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience) // t.Context ends before what cleans up
	t.Cleanup(cancel)
	a := &answerer{t: t, cmd: exec.CommandContext(ctx, command, "run", "--rm", "-i", "--timeout", lifetime, module(t, "bombs.wasm"), "answer")}
	a.cmd.Env = append(os.Environ(), "STASIS_HOME="+home)
	var errs bytes.Buffer
	a.cmd.Stderr = &errs
	var err error
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.out = bufio.NewReader(out)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.in.Close()
		if err := a.cmd.Wait(); err != nil {
			t.Errorf("the one that answers: %v: %s", err, errs.Bytes())
		}
	})
	return a
}

// ask measures some answers.
func (a *answerer) ask(n int) latencies {
	a.t.Helper()
	var all latencies
	for range n {
		begin := time.Now()
		if _, err := a.in.Write([]byte("?")); err != nil {
			a.t.Fatal(err)
		}
		if _, err := a.out.ReadByte(); err != nil {
			a.t.Fatal(err)
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all
}

// latencies are sorted.
type latencies []time.Duration

func (l latencies) String() string {
	at := func(p int) time.Duration { return l[min(len(l)*p/100, len(l)-1)].Round(time.Microsecond) }
	return fmt.Sprintf("median %v, p99 %v, most %v", at(50), at(99), at(100))
}

// until waits until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(poll) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// full reports whether a bomb has been refused what it wants more of.
func full(ctx context.Context, t *testing.T, s *stasis.System) bool {
	t.Helper()
	if p, err := s.Properties(ctx); err != nil || !p.State.Running() {
		t.Fatalf("the bomb: %+v, %v", p, err)
	}
	found := false
	err := s.Logs(ctx, stasis.LogOptions{Tail: -1}, func(r stasis.Record) error {
		found = found || strings.Contains(string(r.Data), "full: ")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// peak is the most that a process has had resident, in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Skip(err) // no Linux
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no VmHWM in\n%s", b)
	return 0
}

// kill ends a system and returns how long it took until its process was gone. It has
// ended by that in whoever's eyes, at any time.
func kill(ctx context.Context, t *testing.T, s *stasis.System) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := s.Signal(ctx, 9); err != nil {
		t.Fatal(err)
	}
	states := make(chan stasis.State, 1)
	go func() {
		for ; ; time.Sleep(poll) {
			p, err := s.Properties(ctx)
			if err != nil || !p.State.Running() {
				states <- p.State
				return
			}
		}
	}()
	x, err := s.Wait(ctx)
	took := time.Since(begin)
	if err != nil || x.Signal != 9 || x.Unexpected {
		t.Errorf("killed, it has ended by %+v, %v", x, err)
	}
	if st := <-states; st != stasis.StateExited {
		t.Errorf("killed, it is %s", st)
	}
	return took
}

// Beside a bomb another system goes on to answer, the bomb's process stays within
// bounds, and when it is killed nothing of it is left.
func TestBeside(t *testing.T) {
	home, cache := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	a := newAnswerer(t, home)
	a.ask(20)
	t.Logf("alone: %v", a.ask(*pings))
	host := &stasis.Host{Home: home, Executable: command}
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for i := range *rounds {
				spec := stasis.Spec{Module: module(t, b.module), Args: append([]string{b.name}, b.args...), Timeout: 10 * time.Minute}
				s, err := host.Run(ctx, stasis.Options{Name: "bomb-" + strconv.Itoa(i), Spec: spec})
				if err != nil {
					t.Fatal(err)
				}
				p, err := s.Properties(ctx)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				until(t, "it is full", func() bool { return full(ctx, t, s) })
				filled := time.Since(begin)
				beside := a.ask(*pings)
				most := peak(t, p.PID)
				took := kill(ctx, t, s)
				if _, err := os.Stat("/proc/" + strconv.Itoa(p.PID)); err == nil {
					until(t, "its process is gone", func() bool { _, err := os.Stat("/proc/" + strconv.Itoa(p.PID)); return err != nil })
				}
				if most > mostMemory {
					t.Errorf("%d MiB were resident", most>>20)
				}
				if err := s.Remove(ctx, stasis.RemoveOptions{}); err != nil {
					t.Error(err)
				}
				t.Logf("full after %v; answers beside it: %v; %d MiB at most; killed, gone in %v",
					filled.Round(time.Millisecond), beside, most>>20, took.Round(100*time.Microsecond))
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(home, "run", "bomb-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
