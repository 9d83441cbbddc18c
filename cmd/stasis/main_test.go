package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stasis-run/stasis"
)

// patience bounds each wait of a script for something to happen.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stasis": main})
}

// TestScript runs testdata/script. The guests are in $WORK; their sources are
// next to them in testdata/guests; calc.wasm's, which has DWARF, in package symbols, and
// count.wasm's, which has threads, in test/threads.
func TestScript(t *testing.T) {
	cache := t.TempDir() // compiled code, for all scripts
	guests, err := filepath.Glob("testdata/guests/*.wasm")
	if err != nil || len(guests) == 0 {
		t.Fatalf("no guests: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "strict":
				return strictWorks(t), nil
			case "programs":
				return programs(t, "dash", "lua5.4"), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, ".home")
			tmp := filepath.Join(e.WorkDir, ".tmp")
			e.Setenv("STASIS_HOME", home)
			e.Setenv("XDG_CACHE_HOME", cache)
			e.Setenv("TMPDIR", tmp)
			e.Defer(func() { endAll(t, home) })
			for _, g := range guests {
				b, err := os.ReadFile(g)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, filepath.Base(g)), b, 0o644); err != nil {
					return err
				}
			}
			for name, from := range map[string]string{
				"calc.wasm":  "../../internal/symbols/testdata/calc4.wasm",
				"count.wasm": "../../test/threads/testdata/count.wasm",
				"bomb.wasm":  "../../test/threads/testdata/bomb.wasm",
			} {
				b, err := os.ReadFile(from)
				if err == nil {
					err = os.WriteFile(filepath.Join(e.WorkDir, name), b, 0o644)
				}
				if err != nil {
					return err
				}
			}
			return os.MkdirAll(tmp, 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":      cmdCode,
			"clean":     cmdClean,
			"waitlog":   cmdWaitLog,
			"waitstate": cmdWaitState,
			"waittasks": cmdWaitTasks,
			"signal":    cmdSignal,
			"freeport":  cmdFreePort,
			"dial":      cmdDial,
			"flip":      cmdFlip,
			"flipall":   cmdFlipAll,
			"oneline":   cmdOneLine,
			"program":   cmdProgram,
		},
	})
}

// strictWorks reports whether this host has all layers of the jail.
func strictWorks(t *testing.T) bool {
	cmd := exec.CommandContext(t.Context(), "stasis", "run", "--rm", "--jail", "strict", "testdata/guests/hello.wasm")
	cmd.Env = append(os.Environ(), "STASIS_HOME="+t.TempDir())
	return cmd.Run() == nil
}

// endAll ends the systems that a script left.
func endAll(t *testing.T, home string) {
	ctx := context.Background()
	all, err := (&stasis.Host{Home: home}).List(ctx, stasis.Query{Running: true})
	if err != nil {
		return // the script removed it
	}
	for _, s := range all {
		if p, err := s.Properties(ctx); err == nil && p.PID != 0 {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}

// code N COMMAND... runs a command, which must exit with N.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// oneline: stderr of the last command is one line of stasis, stdout is empty.
func cmdOneLine(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stderr")
	if ts.ReadFile("stdout") != "" || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "stasis: ") {
		ts.Fatalf("stderr is not one line of stasis, or there is something on stdout:\n%s", text)
	}
}

// clean: prune removes all systems that have ended, so that none is left; no
// socket, no temporary file, no unfinished image. What never ran is not removed
// by prune: a command that failed has left it.
func cmdClean(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Exec("stasis", "prune", "--force"))
	var left []string
	for _, pattern := range []string{
		".home/systems/*", ".home/systems/.*", ".home/run/*.sock", ".home/images/.*", ".tmp/*", ".tmp/.*", ".*.tmp-*",
	} {
		names, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		left = append(left, names...)
	}
	if len(left) > 0 {
		ts.Fatalf("left behind: %v", left)
	}
}

func until(ts *testscript.TestScript, what string, done func() bool) {
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("gave up waiting until %s", what)
		}
	}
}

// waitlog NAME TEXT waits until a system has written TEXT.
func cmdWaitLog(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0]+" writes "+args[1], func() bool {
		s, err := system(ts, args[0])
		if err != nil {
			return false
		}
		var log []byte
		err = s.Logs(context.Background(), stasis.LogOptions{Tail: -1}, func(r stasis.Record) error {
			log = append(log, r.Data...)
			return nil
		})
		return err == nil && bytes.Contains(log, []byte(args[1]))
	})
}

func system(ts *testscript.TestScript, name string) (*stasis.System, error) {
	return (&stasis.Host{Home: ts.Getenv("STASIS_HOME")}).Open(context.Background(), name)
}

// waitstate NAME STATE waits until a system is in a state: one of ps, or "gone",
// which is that its host process has ended, or "none".
func cmdWaitState(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0]+" is "+args[1], func() bool {
		s, err := system(ts, args[0])
		if err != nil {
			return args[1] == "none"
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p, err := s.Properties(ctx)
		return err == nil && (string(p.State) == args[1] || args[1] == "gone" && !p.State.Running())
	})
}

// waittasks NAME N waits until a system has so many tasks.
func cmdWaitTasks(ts *testscript.TestScript, _ bool, args []string) {
	s, err := system(ts, args[0])
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	until(ts, args[0]+" has "+args[1]+" tasks", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stacks, err := s.Stacks(ctx)
		return err == nil && len(stacks) == n
	})
}

// signal NAME N [parent] sends a signal to a system's host process, or to the
// command that started it.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	s, err := system(ts, args[0])
	ts.Check(err)
	pid := 0
	until(ts, "the pid of "+args[0]+" is known", func() bool {
		p, err := s.Properties(context.Background())
		ts.Check(err)
		pid = p.PID
		return pid > 0
	})
	if len(args) > 2 && args[2] == "parent" {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		ts.Check(err)
		_, rest, _ := strings.Cut(string(b), ") ")
		pid, err = strconv.Atoi(strings.Fields(rest)[1])
		ts.Check(err)
	}
	ts.Check(syscall.Kill(pid, syscall.Signal(n)))
}

// freeport VAR sets VAR to a port that nobody listens on.
func cmdFreePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// dial PORT TEXT REPLY connects, sends TEXT and wants REPLY.
func cmdDial(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+args[0], patience)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, args[1])
	ts.Check(err)
	got, err := io.ReadAll(conn)
	ts.Check(err)
	if string(got) != args[2] {
		ts.Fatalf("reply %q, want %q", got, args[2])
	}
}

func flip(file string, at int) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	b[at] ^= 1
	return os.WriteFile(file, b, 0o600)
}

// flip FILE OFFSET changes one bit of a file.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(flip(ts.MkAbs(args[0]), at))
}

// flipall DIR changes each file of an image, at its start, middle and end, one
// at a time; none of these images may be restored.
func cmdFlipAll(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	if len(files) < 6 {
		ts.Fatalf("%s has %d files only", args[0], len(files))
	}
	for _, f := range files {
		st, err := os.Stat(f)
		ts.Check(err)
		for _, at := range []int{0, int(st.Size() / 2), int(st.Size()) - 1} {
			if st.Size() == 0 {
				continue
			}
			ts.Check(flip(f, at))
			cmdCode(ts, false, []string{"126", "stasis", "restore", args[0]})
			cmdOneLine(ts, false, nil)
			if text := ts.ReadFile("stderr"); !strings.Contains(text, filepath.Base(f)) && !strings.Contains(text, "config.json") {
				ts.Fatalf("byte %d of %s is changed, and the error does not name the file: %s", at, filepath.Base(f), text)
			}
			ts.Check(flip(f, at))
		}
	}
}
