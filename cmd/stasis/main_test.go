package main

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/stasis-run/stasis/internal/sandbox"
)

// patience bounds each wait of a script for something to happen.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stasis": main})
}

// TestScript runs testdata/script. The guests are in $WORK; their sources are
// next to them in testdata/guests.
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
			return os.MkdirAll(tmp, 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":      cmdCode,
			"clean":     cmdClean,
			"waitlog":   cmdWaitLog,
			"waitstate": cmdWaitState,
			"signal":    cmdSignal,
			"freeport":  cmdFreePort,
			"dial":      cmdDial,
			"flip":      cmdFlip,
			"flipall":   cmdFlipAll,
			"oneline":   cmdOneLine,
		},
	})
}

// endAll ends the systems that a script left.
func endAll(t *testing.T, home string) {
	store, err := sandbox.OpenStore(home)
	if err != nil {
		return // the script removed it
	}
	entries, err := store.List()
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Running() {
			_ = syscall.Kill(info.PID, syscall.SIGKILL)
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

// clean: no system is left in the store, no temporary file, no unfinished image.
func cmdClean(ts *testscript.TestScript, _ bool, _ []string) {
	for _, dir := range []string{ts.MkAbs(".home/systems"), ts.MkAbs(".tmp")} {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		ts.Check(err)
		hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
		ts.Check(err)
		if left := append(names, hidden...); len(left) > 0 {
			ts.Fatalf("left behind: %v", left)
		}
	}
	left, err := filepath.Glob(ts.MkAbs(".*.tmp-*"))
	ts.Check(err)
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

// waitlog NAME TEXT waits until a detached system has written TEXT.
func cmdWaitLog(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0]+" writes "+args[1], func() bool {
		b, _ := os.ReadFile(ts.MkAbs(".home/systems/" + args[0] + "/log"))
		return bytes.Contains(b, []byte(args[1]))
	})
}

func entry(ts *testscript.TestScript, name string) (*sandbox.Entry, error) {
	store, err := sandbox.OpenStore(ts.Getenv("STASIS_HOME"))
	ts.Check(err)
	return store.Get(name)
}

// waitstate NAME STATE waits until a system is in a state: one of ps, or
// "gone", which is that its host process has ended, or "none".
func cmdWaitState(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0]+" is "+args[1], func() bool {
		e, err := entry(ts, args[0])
		switch {
		case err != nil:
			return args[1] == "none"
		case !e.Running():
			return args[1] == "gone"
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := e.Ask(ctx, sandbox.Request{Op: "status"})
		return err == nil && r.State == args[1]
	})
}

// signal NAME N sends a signal to a system's host process.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	e, err := entry(ts, args[0])
	ts.Check(err)
	info, err := e.Info()
	ts.Check(err)
	ts.Check(syscall.Kill(info.PID, syscall.Signal(n)))
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

// flipall DIR changes each file of an image, at its start, middle and end (of a
// pages file, in the first, middle and last page stored), one at a time; none
// of these images may be restored.
func cmdFlipAll(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	if len(files) < 6 {
		ts.Fatalf("%s has %d files only", args[0], len(files))
	}
	for _, f := range files {
		st, err := os.Stat(f)
		ts.Check(err)
		places := []int{0, int(st.Size() / 2), int(st.Size()) - 1}
		if strings.HasPrefix(filepath.Base(f), "pages-") {
			places = storedBytes(ts, f)
		}
		for _, at := range places {
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

// storedBytes returns where in a pages file its first, middle and last bytes
// are that are not zero.
func storedBytes(ts *testscript.TestScript, file string) []int {
	b, err := os.ReadFile(file)
	ts.Check(err)
	var all []int
	for i, c := range b {
		if c != 0 {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		ts.Fatalf("%s is all zero", file)
	}
	return []int{all[0], all[len(all)/2], all[len(all)-1]}
}

// TestInfoIsReadable keeps what others read of the store: info.json.
func TestInfoIsReadable(t *testing.T) {
	b, err := json.Marshal(sandbox.Info{Name: "a"})
	if err != nil || !strings.Contains(string(b), `"PID":`) {
		t.Errorf("%s, %v", b, err)
	}
}

// TestParse covers the parsers of flags.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
	}{
		{"", 0}, {"1", 1}, {"64k", 64 << 10}, {"64K", 64 << 10}, {"5b", 5}, {"256m", 256 << 20}, {"4g", 4 << 30},
		{"-1", -1}, {"0", -1}, {"k", -1}, {"1t", -1}, {"99999999999g", -1}, {"9223372036854775807", -1}, {"1.5g", -1}, {" 1", -1},
	} {
		got, err := parseSize(c.in)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("size %q: %d, want %d (%v)", c.in, got, c.want, err)
		}
	}
	for _, c := range []struct {
		in   string
		want int32
	}{
		{"TERM", 15}, {"sigterm", 15}, {"SIGINT", 2}, {"9", 9}, {"0", 0}, {"64", 64}, {"65", -1}, {"-1", -1}, {"", -1}, {"SIG", -1}, {"foo", -1},
	} {
		got, err := parseSignal(c.in)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("signal %q: %d, want %d", c.in, got, c.want)
		}
	}
	for s, ok := range map[string]bool{
		"": true, "unwind=1": true, "checkpoint=3": true, "unwind=0": false, "unwind": false, "x=1": false,
		"unwind=-1": false, "unwind=2147483647": false, "checkpoint=1e3": false,
	} {
		if err := parseStress(s, new(sandbox.Config)); (err == nil) != ok {
			t.Errorf("stress %q: %v", s, err)
		}
	}
	for s, ok := range map[string]bool{
		"tcp:127.0.0.1:80": true, "tcp::80": true, "tcp:[::1]:80": true, "tcp:localhost:65535": true,
		"": false, "tcp": false, "tcp:": false, "tcp:80": false, "udp:a:80": false, "tcp:a:0": false, "tcp:a:65536": false, "tcp:a:http": false,
	} {
		if err := checkListen(s); (err == nil) != ok {
			t.Errorf("listen %q: %v", s, err)
		}
	}
}

// TestEnv: a variable without a value is the caller's, if that has one.
func TestEnv(t *testing.T) {
	t.Setenv("STASIS_TEST_SET", "x=y")
	got, err := expandEnv([]string{"A=", "STASIS_TEST_SET", "STASIS_TEST_UNSET", "B=1=2"})
	if want := "[A= STASIS_TEST_SET=x=y B=1=2]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	if _, err := expandEnv([]string{"=x"}); err == nil {
		t.Error("a variable without a name is taken")
	}
}
