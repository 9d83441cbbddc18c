package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis"
)

// A terminal is a pty with a command on it.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd

	mu  sync.Mutex
	out []byte // protected by mu
}

// openTerminal opens a pty whose output is collected.
func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	term := &terminal{t: t, master: master, slave: slave}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.out = append(term.out, b[:n]...)
			term.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		slave.Close()
		<-done // the last end of the slave's side has gone
		master.Close()
	})
	return term
}

// start starts stasis on the terminal, as a shell does.
func (x *terminal) start(args ...string) {
	x.t.Helper()
	x.cmd = exec.Command("stasis", args...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = x.slave, x.slave, x.slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { _ = x.cmd.Process.Kill() }) // it has ended, if all is well
}

func (x *terminal) keys(s string) {
	x.t.Helper()
	if _, err := x.master.WriteString(s); err != nil {
		x.t.Fatal(err)
	}
}

// expect waits until the terminal shows want, and forgets what it shows.
func (x *terminal) expect(want string) {
	x.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		x.mu.Lock()
		i := bytes.Index(x.out, []byte(want))
		shown := string(x.out)
		if i >= 0 {
			x.out = x.out[i+len(want):]
		}
		x.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("the terminal does not show %q but %q", want, shown)
		}
	}
}

// exits waits until the command has ended with a code.
func (x *terminal) exits(want int) {
	x.t.Helper()
	err := x.cmd.Wait()
	if got := x.cmd.ProcessState.ExitCode(); got != want {
		x.t.Fatalf("exit code %d (%v), want %d", got, err, want)
	}
}

func (x *terminal) termios() unix.Termios {
	x.t.Helper()
	o, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *o
}

// raw waits until the terminal is in raw mode: what is typed before is echoed twice.
func (x *terminal) raw() {
	x.t.Helper()
	for end := time.Now().Add(patience); x.termios().Lflag&unix.ICANON != 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatal("the terminal is not put into raw mode")
		}
	}
}

// ownHost gives the test a state of its own.
func ownHost(t *testing.T) *stasis.Host {
	home := t.TempDir()
	t.Setenv("STASIS_HOME", home)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Cleanup(func() { endAll(t, home) })
	return &stasis.Host{Home: home}
}

func waitState(t *testing.T, h *stasis.Host, name string, want ...stasis.State) {
	t.Helper()
	var got stasis.State
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s, err := h.Open(context.Background(), name); err == nil {
			p, err := s.Properties(context.Background())
			if got = p.State; err == nil && strings.Contains(strings.Join(toStrings(want), " "), string(got)) {
				return
			}
		}
	}
	t.Fatalf("%s is %s, want %v", name, got, want)
}

func toStrings(states []stasis.State) (out []string) {
	for _, s := range states {
		out = append(out, string(s))
	}
	return out
}

func guest(name string) string { return filepath.Join("testdata", "guests", name+".wasm") }

// A line is echoed once, by the guest's terminal; ^D ends the input; and the
// caller's terminal is afterwards as it was.
func TestTerminal(t *testing.T) {
	ownHost(t)
	x := openTerminal(t)
	before := x.termios()
	x.start("run", "-it", "--rm", guest("cat"))
	x.raw()
	x.keys("hello\r")
	x.expect("hello\r\nhello\r\n")
	x.keys("\x04")
	x.exits(0)
	if after := x.termios(); after != before {
		t.Errorf("the terminal is %+v, was %+v", after, before)
	}
}

// The detach keys leave the system running; attach goes on where it was; ^C is
// the guest's SIGINT.
// exec -it: a terminal of its own, whose keys are the process's and not the system's.
func TestTerminalOfExec(t *testing.T) {
	ownHost(t)
	if out, err := exec.Command("stasis", "run", "-d", "--name", "s", guest("sleep")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() { _ = exec.Command("stasis", "rm", "-f", "s").Run() }()
	x := openTerminal(t)
	before := x.termios()
	for _, c := range []struct {
		key  string
		code int
	}{{"\x04", 0}, {"\x03", 130}} {
		x.start("exec", "-it", "--module", guest("cat"), "s")
		x.raw()
		x.keys("hello\r")
		x.expect("hello\r\nhello\r\n")
		x.keys(c.key)
		x.exits(c.code)
		if after := x.termios(); after != before {
			t.Errorf("the terminal is %+v, was %+v", after, before)
		}
	}
	alone(t, "s")

	// Saved with the system, it finds its terminal hung up: its input has ended.
	x.start("exec", "-it", "--module", guest("cat"), "s")
	x.raw()
	x.keys("hello\r")
	x.expect("hello\r\nhello\r\n")
	dir := filepath.Join(t.TempDir(), "s.img")
	for _, args := range [][]string{{"checkpoint", "--leave-running", "--image-path", dir, "s"}, {"restore", "-d", "--name", "r", dir}} {
		if out, err := exec.Command("stasis", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	defer func() { _ = exec.Command("stasis", "rm", "-f", "r").Run() }()
	alone(t, "r")
	x.keys("still here\r")
	x.expect("still here\r\nstill here\r\n")
	x.keys("\x04")
	x.exits(0)
}

// alone waits until the first process of a system is its only one.
func alone(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		out, err := exec.Command("stasis", "top", "--format", "{{.PID}} {{.State}}", name).CombinedOutput()
		if string(out) == "1 blocked\n" {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("%s has %s, %v", name, out, err)
		}
	}
}

func TestDetachAndAttach(t *testing.T) {
	h := ownHost(t)
	x := openTerminal(t)
	before := x.termios()
	x.start("run", "-it", "--name", "d", guest("cat"))
	x.raw()
	x.keys("one\r")
	x.expect("one\r\none\r\n")
	x.keys("\x10\x11")
	x.expect("detached")
	x.exits(0)
	if after := x.termios(); after != before {
		t.Errorf("the terminal is %+v, was %+v", after, before)
	}
	waitState(t, h, "d", stasis.StateBlocked)

	y := openTerminal(t)
	y.start("attach", "--detach-keys", "ctrl-x,q", "d")
	y.raw()
	y.keys("two\r")
	y.expect("two\r\ntwo\r\n")
	y.keys("\x18q")
	y.exits(0)
	waitState(t, h, "d", stasis.StateBlocked)

	z := openTerminal(t)
	z.start("attach", "d")
	z.raw()
	z.keys("\x03")
	z.exits(130)
	waitState(t, h, "d", stasis.StateExited)
}

// elsewhere saves a system that is shown here, and wakes it on another terminal.
func (x *terminal) elsewhere(name string) *terminal {
	x.t.Helper()
	dir := filepath.Join(x.t.TempDir(), name+".img")
	if out, err := exec.Command("stasis", "checkpoint", "--image-path", dir, name).CombinedOutput(); err != nil {
		x.t.Fatalf("%v: %s", err, out)
	}
	x.expect("saved to")
	x.exits(0)
	y := openTerminal(x.t)
	y.start("restore", "--rm", dir)
	y.raw()
	return y
}

// A system with a terminal is saved from elsewhere and woken on another terminal.
func TestTerminalIsSaved(t *testing.T) {
	ownHost(t)
	x := openTerminal(t)
	x.start("run", "-it", "--rm", "--name", "s", guest("cat"))
	x.raw()
	x.keys("one\r")
	x.expect("one\r\none\r\n")
	y := x.elsewhere("s")
	y.keys("two\r")
	y.expect("two\r\ntwo\r\n")
	y.keys("\x04")
	y.exits(0)
}

// Without a terminal of its own, a system gets the signals of the caller's: ^Z
// stops it and the command, continuing the command continues it, ^C ends it.
func TestStopFromTheKeyboard(t *testing.T) {
	h := ownHost(t)
	x := openTerminal(t)
	x.start("run", "--name", "z", guest("spin"))
	x.expect("spinning")
	waitState(t, h, "z", stasis.StateRunning)
	x.keys("\x1a")
	var status unix.WaitStatus
	for end := time.Now().Add(patience); !status.Stopped(); time.Sleep(5 * time.Millisecond) {
		if _, err := unix.Wait4(x.cmd.Process.Pid, &status, unix.WUNTRACED|unix.WNOHANG, nil); err != nil || time.Now().After(end) {
			t.Fatalf("the command has not stopped: %v, %v", status, err)
		}
	}
	waitState(t, h, "z", stasis.StateStopped)
	if err := x.cmd.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waitState(t, h, "z", stasis.StateRunning)
	x.keys("\x03")
	x.exits(130)
}

// prune asks on a terminal.
func TestPruneAsks(t *testing.T) {
	h := ownHost(t)
	if out, err := exec.Command("stasis", "run", "--name", "old", guest("hello")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x := openTerminal(t)
	x.start("prune")
	x.expect("[y/N]")
	x.keys("n\n")
	x.exits(0)
	waitState(t, h, "old", stasis.StateExited)
	y := openTerminal(t)
	y.start("prune")
	y.expect("[y/N]")
	y.keys("y\n")
	y.expect("old")
	y.exits(0)
}

// stats is shown anew in its place.
func TestStatsOnATerminal(t *testing.T) {
	ownHost(t)
	x := openTerminal(t)
	x.start("stats")
	x.expect("\x1b[HNAME")
	x.expect("\x1b[HNAME")
	x.keys("\x03")
	_ = x.cmd.Wait()
}
