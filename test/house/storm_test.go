// Package house kills processes at random: those that host systems, and the
// commands that start, save and wake them. Whatever the moment, nothing is left
// that nobody knows of, and no image is there that is not whole.
package house

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis"
)

var (
	rounds = flag.Int("rounds", 60, "how many processes are started and maybe killed; a third with -short")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the moments of the kills")
	jail   = flag.String("jail", "on", "of the systems")
)

// clientVar has this program be a command: it is the JSON of one.
const clientVar = "STASIS_HOUSE_COMMAND"

// A command is what a client process does.
type command struct {
	Home, Cache, Jail string
	Verb, Name        string
	Module, Image     string
	Leave             bool
}

func TestMain(m *testing.M) {
	stasis.SandboxMain()
	if c := os.Getenv(clientVar); c != "" {
		if err := client(c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	os.Exit(m.Run())
}

const patience = time.Minute

func client(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var c command
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	h := &stasis.Host{Home: c.Home, Cache: c.Cache, Jail: stasis.Jail(c.Jail)}
	if c.Verb == "run" {
		s, err := h.Run(ctx, stasis.Options{Name: c.Name, Spec: stasis.Spec{Module: c.Module, Image: c.Image}})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	s, err := h.Open(ctx, c.Name)
	if err != nil {
		return err
	}
	_, err = s.Checkpoint(ctx, stasis.CheckpointOptions{Leave: c.Leave})
	return err
}

// A storm is what goes on.
type storm struct {
	*testing.T
	ctx   context.Context
	host  *stasis.Host
	r     *rand.Rand
	n     int // of systems started
	count map[string]int
}

func TestStorm(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // what clients leave is ours to see
		t.Skipf("processes that are left could not be seen: no subreaper: %v", err)
	}
	n := *rounds
	if testing.Short() {
		n /= 3
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*10*time.Second)
	defer cancel()
	dir := t.TempDir()
	s := &storm{
		T: t, ctx: ctx, r: rand.New(rand.NewPCG(*seed, 1)), count: make(map[string]int),
		host: &stasis.Host{Home: filepath.Join(dir, "home"), Cache: filepath.Join(dir, "cache"), Jail: stasis.Jail(*jail)},
	}
	t.Logf("-seed %d", *seed)
	defer s.end()
	for i := 0; i < n && !t.Failed(); i++ {
		s.round()
	}
	t.Logf("%d rounds: %v", n, s.count)
	s.wakeAll()
}

func (s *storm) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func guest(name string) string {
	path, err := filepath.Abs(filepath.Join("..", "..", "cmd", "stasis", "testdata", "guests", name+".wasm"))
	if err != nil {
		panic(err)
	}
	return path
}

// round starts one command, and kills it, or a system, or nothing.
func (s *storm) round() {
	systems := s.systems()
	images, _, err := s.host.Images(s.ctx)
	s.must(err)
	c := command{Home: s.host.Home, Cache: s.host.Cache, Jail: *jail, Verb: "run"}
	victim := 0
	switch x := s.r.IntN(10); {
	case len(systems) == 0 || x < 2:
		s.n++
		c.Name, c.Module = "s"+strconv.Itoa(s.n), guest([]string{"spin", "sleep"}[s.r.IntN(2)])
	case x < 4 && len(images) > 0:
		s.n++
		c.Name, c.Image = "s"+strconv.Itoa(s.n), images[s.r.IntN(len(images))].Dir
	default:
		sys := systems[s.r.IntN(len(systems))]
		c.Verb, c.Name, c.Leave = "checkpoint", sys.Name, s.r.IntN(4) > 0
		victim = sys.PID
	}
	s.do(c, victim)
	s.check()
	s.tidy()
}

// do runs a client, and has a process killed meanwhile.
func (s *storm) do(c command, victim int) {
	text, err := json.Marshal(c)
	s.must(err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), clientVar+"="+string(text))
	var out strings.Builder
	cmd.Stderr = &out
	s.must(cmd.Start())
	kill := ""
	switch x := s.r.IntN(10); {
	case x < 5:
		kill, victim = "client", cmd.Process.Pid
	case x < 8 && victim != 0:
		kill = "system"
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if kill != "" {
		select {
		case err = <-done:
			done <- err
			kill += " too late"
		case <-time.After(time.Duration(s.r.Int64N(int64(80 * time.Millisecond)))):
		}
		if !strings.HasSuffix(kill, "late") && isOurs(victim) {
			_ = unix.Kill(victim, unix.SIGKILL) // it may have ended just now
		}
	}
	err = <-done
	s.count[strings.TrimSpace(c.Verb+" "+kill)]++
	if err != nil && (kill == "" || strings.HasSuffix(kill, "late")) {
		s.Errorf("%+v, nothing killed: %v: %s", c, err, out.String())
	}
	if strings.Contains(out.String(), "bug in stasis") || strings.Contains(out.String(), "panic") {
		s.Errorf("%+v: %s", c, out.String())
	}
}

// stat is the parent and the state of a process.
func stat(pid int) (parent int, state string) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	parent, _ = strconv.Atoi(f[1])
	return parent, f[0]
}

func isOurs(pid int) bool {
	parent, _ := stat(pid)
	return pid > 1 && parent == os.Getpid()
}

// children are the living processes below this one; the dead are reaped.
func children() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		parent, state := stat(pid)
		switch {
		case parent != os.Getpid():
		case state == "Z":
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // a client is waited for by then
		default:
			pids = append(pids, pid)
		}
	}
	return pids
}

// systems are those that run.
func (s *storm) systems() (out []stasis.Properties) {
	all, err := s.host.List(s.ctx, stasis.Query{Running: true})
	s.must(err)
	for _, sys := range all {
		p, err := sys.Properties(s.ctx)
		s.must(err)
		if p.State.Running() {
			out = append(out, p)
		}
	}
	return out
}

// check looks at what there is: as many processes as systems, and whole images.
func (s *storm) check() {
	s.must(s.host.Sweep(s.ctx))
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		systems, pids := s.systems(), children()
		if len(systems) == len(pids) {
			break
		}
		if time.Now().After(limit) {
			s.Errorf("%d systems run in %d processes: %v; %+v", len(systems), len(pids), pids, systems)
			break
		}
	}
	images, damaged, err := s.host.Images(s.ctx)
	s.must(err)
	for _, err := range damaged {
		s.Errorf("damaged: %v", err)
	}
	for i, im := range images {
		if i > 0 && s.r.IntN(4) > 0 {
			continue // it was looked at before
		}
		if err := im.Verify(s.ctx); err != nil {
			s.Error(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.host.Home, "images", "*"))
	s.must(err)
	for limit := time.Now().Add(5 * time.Second); len(left) != len(images); {
		if time.Now().After(limit) {
			s.Errorf("%d images, but %v", len(images), left)
			return
		}
		s.must(s.host.Sweep(s.ctx)) // a system that is saving finds that its client has gone
		left, _ = filepath.Glob(filepath.Join(s.host.Home, "images", "*"))
	}
}

// tidy removes what has ended, and some of what there is too much of.
func (s *storm) tidy() {
	all, err := s.host.List(s.ctx, stasis.Query{})
	s.must(err)
	for i, sys := range all {
		p, err := sys.Properties(s.ctx)
		s.must(err)
		if !p.State.Running() || i >= 4 {
			s.must(sys.Remove(s.ctx, stasis.RemoveOptions{Force: true}))
		}
	}
	images, _, err := s.host.Images(s.ctx)
	s.must(err)
	for _, im := range images[min(8, len(images)):] {
		s.must(s.host.RemoveImage(s.ctx, im))
	}
}

// wakeAll wakes every image that there is.
func (s *storm) wakeAll() {
	images, _, err := s.host.Images(s.ctx)
	s.must(err)
	for _, im := range images {
		s.must(im.Verify(s.ctx))
		sys, err := s.host.Run(s.ctx, stasis.Options{Spec: stasis.Spec{Image: im.Dir}})
		s.must(err)
		if p, err := sys.Properties(s.ctx); err != nil || !p.State.Running() {
			s.Errorf("%s: woken, it is %s, %v", im.Dir, p.State, err)
		}
		s.must(sys.Remove(s.ctx, stasis.RemoveOptions{Force: true}))
	}
	s.Logf("%d images woken", len(images))
}

// end removes all systems and images: what is left then is a leak.
func (s *storm) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.ctx = ctx
	all, err := s.host.List(ctx, stasis.Query{})
	if err != nil {
		s.Error(err)
	}
	for _, sys := range all {
		if err := sys.Remove(ctx, stasis.RemoveOptions{Force: true}); err != nil {
			s.Error(err)
		}
	}
	for limit := time.Now().Add(10 * time.Second); len(children()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			s.Errorf("processes left: %v", children())
			break
		}
	}
	// An hour and more later:
	old := time.Now().Add(-2 * time.Hour)
	for _, dir := range []string{filepath.Join(s.host.Home, "run"), filepath.Join(s.host.Home, "systems"), s.host.Cache} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			_ = os.Chtimes(filepath.Join(dir, e.Name()), old, old)
		}
	}
	if err := s.host.Sweep(ctx); err != nil {
		s.Error(err)
	}
	for _, pattern := range []string{"home/run/*.sock", "home/systems/*", "home/systems/.*", "home/images/.*", "cache/.tmp-*"} {
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.host.Home), pattern))
		if len(left) > 0 {
			s.Errorf("left: %v", left)
		}
	}
}
