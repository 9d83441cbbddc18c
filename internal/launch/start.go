package launch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/jail"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// A Seed is a process that will host a system, or compile, started while what it
// is to be given is still being opened: the start of a process takes a while.
type Seed struct {
	cmd   *exec.Cmd
	conn  *control.Conn
	given sandbox.Given
}

// Spawn starts a process that is to host a system. It has stdio, until it learns
// that its guest is to have other streams.
func Spawn(executable, mode string, stdio [3]*os.File) (*Seed, error) {
	return spawn(mode, func(theirs *os.File) *exec.Cmd {
		cmd := exec.Command(executable, sandbox.ChildCommand)
		if stdio[0] != nil {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = stdio[0], stdio[1], stdio[2]
		}
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.SysProcAttr = attributes(false)
		return cmd
	})
}

// Kill ends the process.
func (s *Seed) Kill() {
	_ = s.cmd.Process.Kill() // it may have gone
	_ = s.cmd.Wait()         // it was killed
	s.conn.Close()
}

// spawn starts a process in as much of a jail as a parent can make.
func spawn(mode string, command func(theirs *os.File) *exec.Cmd) (*Seed, error) {
	conn, theirs, err := control.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	s := &Seed{conn: conn}
	make := func() *exec.Cmd {
		cmd := command(theirs)
		cmd.Env, cmd.Dir = environment(), "/"
		return cmd
	}
	if mode == sandbox.JailOff {
		s.cmd = make()
		err = s.cmd.Start()
	} else {
		var given jail.Given
		s.cmd, given, err = jail.Start(jail.Policy{}, make)
		s.given = sandbox.GivenOf(given)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start a process: %w", err)
	}
	return s, nil
}

// environment is what a process needs of ours.
func environment() []string {
	env := []string{"GODEBUG=" + os.Getenv("GODEBUG")}
	for _, name := range []string{"STASIS_DEBUG", "GOMAXPROCS", "GOCOVERDIR", "GORACE"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// attributes are those of a process that outlives a terminal's session; one in
// the foreground does not outlive the thread that starts it.
func attributes(foreground bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if foreground {
		a.Pdeathsig = unix.SIGKILL
	}
	return a
}

// Executable finds the program that hosts systems: this one if it can, else
// stasis in the PATH.
func Executable(self bool) (string, error) {
	if self {
		return os.Executable()
	}
	path, err := exec.LookPath("stasis")
	if err != nil {
		return "", fault.Advise(fault.NotFound, errors.New("no program that hosts systems: stasis is not in the PATH"),
			"install it, name it with Options.Executable, or call stasis.SandboxMain first in main")
	}
	return filepath.Abs(path)
}
