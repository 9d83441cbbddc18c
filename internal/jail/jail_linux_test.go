package jail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"
)

// nobodyElse is a user of these tests.
const nobodyElse = 64738

// TestRootless jails children of an unprivileged user: each attempt fails in
// the whole jail.
func TestRootless(t *testing.T) {
	uid := os.Getuid()
	if uid == 0 {
		uid = nobodyElse
	}
	s, p, files := newScene(t, uid)
	order := launchOrder{UID: uid, Policy: p, Scene: s, Try: attempts[0].name}
	if os.Getuid() != 0 {
		order.UID = 0
	}
	first := launched(t, order, files)
	if first.Fatal != "" {
		t.Fatal(first.Fatal)
	}
	t.Logf("entered in %v\n%s", first.Took, first.Report)
	if missing := first.Report.Missing(); len(missing) > 0 {
		t.Logf("this host lacks layers for an unprivileged user:\n%s", missing)
	}
	for _, a := range attempts {
		if a.name == "be root: setuid(0)" || a.name == "become another user" || !testing.Short() {
			order.Try = a.name
			if o := launched(t, order, files); o.Fatal != "" || o.Done {
				t.Errorf("%s: succeeds, or fails otherwise: %s\n%s", a.name, o.Fatal, o.Report)
			}
		}
	}
}

// TestDocker jails a child where an ordinary container's limits hold: neither
// namespaces nor mounts. The rest must hold, and the report say what does not.
func TestDocker(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: cannot lower itself to a container's root")
	}
	s, p, files := newScene(t, 0)
	order := launchOrder{Docker: true, Policy: p, Scene: s}
	absent := []Layer{UserNS, MountNS, PIDNS, NetNS, IPCNS, UTSNS, Root, UID}
	for _, a := range attempts {
		if a.base != nil {
			continue
		}
		order.Try = a.name
		o := launched(t, order, files)
		if o.Fatal != "" {
			t.Fatalf("%s: %s", a.name, o.Fatal)
		}
		if o.Done {
			t.Errorf("%s: succeeds\n%s", a.name, o.Report)
		}
		if o.Report == nil { // it was killed
			continue
		}
		var missing []Layer
		for _, l := range o.Report.Missing() {
			missing = append(missing, l.Layer)
			if l.Why == "" {
				t.Errorf("%s is missing without a reason", l.Layer)
			}
		}
		if !slices.Equal(missing, absent) {
			t.Fatalf("missing %v, want %v:\n%s", missing, absent, o.Report)
		}
		if a.name == attempts[0].name {
			t.Logf("entered in %v\n%s", o.Took, o.Report)
		}
	}
	// Without a granted directory, root can be dropped there.
	order.Policy.Dirs, order.Policy.Drop, order.Try = nil, true, "be root: setuid(0)"
	order.Policy.Skip = map[Layer]bool{Seccomp: true}
	if o := launched(t, order, files); o.Fatal != "" || o.Done || !o.Report.Held(UID) {
		t.Errorf("dropped root: succeeds, or fails otherwise: %s\n%s", o.Fatal, o.Report)
	}
}

// TestWork does in the jail what is allowed.
func TestWork(t *testing.T) {
	s, p, files := newScene(t, os.Getuid())
	p.Write = []string{s.Scratch}
	for _, w := range work {
		if o := run(p, w.name, s, files); o.Fatal != "" || !o.Done {
			t.Errorf("%s: %s %s\n%s", w.name, o.Fatal, o.Error, o.Report)
		}
	}
	helper := Policy{Write: []string{s.Scratch}, Keep: []int{3}}
	if o := run(helper, "make a file in a writable path", s, files); o.Fatal != "" || !o.Done {
		t.Errorf("compile helper: %s %s\n%s", o.Fatal, o.Error, o.Report)
	}
	if o := run(helper, "accept a connection", s, files); o.Fatal != "" || o.Done {
		t.Errorf("compile helper: accepts; %s\n%s", o.Fatal, o.Report)
	}
	for _, p := range []Policy{{Write: []string{s.Scratch}}, {}} {
		if o := run(p, "compile and run a module", s, nil); o.Fatal != "" || !o.Done {
			t.Errorf("engine: %s %s\n%s", o.Fatal, o.Error, o.Report)
		}
		s.Scratch = ""
	}
	bare := Policy{}
	if o := run(bare, attempts[0].name, s, nil); o.Done || o.Report.Missing(UID) != nil {
		t.Errorf("no grants: %s\n%s", o.stopped(), o.Report)
	}
}

// work is what an honest process does.
var work = []attempt{
	{name: "make, read, rename and remove in a writable directory", do: func(s *scene) error {
		if err := openat(s.RW, "a", unix.O_WRONLY|unix.O_CREAT); err != nil {
			return err
		}
		if err := unix.Mkdirat(s.RW, "d", 0o755); err != nil {
			return err
		}
		if err := unix.Renameat2(s.RW, "a", s.RW, "d/b", unix.RENAME_NOREPLACE); err != nil {
			return err
		}
		if err := openat(s.RW, "d/b", unix.O_RDONLY); err != nil {
			return err
		}
		if err := unix.Unlinkat(s.RW, "d/b", 0); err != nil {
			return err
		}
		return unix.Unlinkat(s.RW, "d", unix.AT_REMOVEDIR)
	}},
	{name: "read a read-only directory", do: func(s *scene) error { return openat(s.RO, "file", unix.O_RDONLY) }},
	{name: "read the code cache", do: func(s *scene) error {
		b, err := os.ReadFile(s.Cache + "/entry")
		if err == nil && len(b) == 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}},
	{name: "make a file in a writable path", do: func(s *scene) error {
		if err := os.WriteFile(s.Scratch+"/x", []byte("code"), 0o600); err != nil {
			return err
		}
		return os.Rename(s.Scratch+"/x", s.Scratch+"/y")
	}},
	{name: "make machine code executable", do: func(*scene) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		defer unix.Munmap(b)
		return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
	}},
	{name: "use many threads, timers and the collector", do: func(*scene) error {
		done := make(chan bool)
		for range 50 {
			go func() {
				b := make([]byte, 1<<20)
				_, _ = unix.Read(-1, b)
				_ = unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil) // holds its thread
				done <- true
			}()
		}
		for range 50 {
			<-done
		}
		time.Sleep(time.Millisecond)
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		go w.Write([]byte("x"))
		_, err = r.Read(make([]byte, 1))
		return err
	}},
}

// TestEveryThread has threads come and go while the jail is entered, and
// compares them afterwards.
func TestEveryThread(t *testing.T) {
	t.Setenv("STASIS_JAIL_TEST_CHURN", "1")
	for range 20 {
		if o := run(Policy{Skip: only(Capabilities, NoNewPrivs, Landlock)}, "have restricted threads only", scene{}, nil); o.Fatal != "" || !o.Done {
			t.Fatalf("%s %s", o.Fatal, o.Error)
		}
	}
}

func init() {
	work = append(work, attempt{name: "accept a connection", do: acceptOne})
	errands = append(errands, work...)
	errands = append(errands,
		attempt{name: "have restricted threads only", do: restrictedThreads},
		attempt{name: "linger", do: linger},
		attempt{name: "compile and run a module", do: compileModule},
		attempt{name: "have 64 processes at once", do: func(*scene) error {
			for range 64 { // they end, but count until they are waited for
				if _, _, errno := rawClone(uintptr(unix.SIGCHLD)); errno != 0 {
					return errno
				}
			}
			return nil
		}})
	if os.Getenv(childEnv) == "jailed" && os.Getenv("STASIS_JAIL_TEST_CHURN") != "" {
		for range 2 {
			go churn()
		}
	}
}

// TestTasks bounds threads and processes where the kernel can.
func TestTasks(t *testing.T) {
	uid := os.Getuid()
	if uid == 0 {
		uid = nobodyElse
	}
	order := launchOrder{Policy: Policy{Tasks: 40, Skip: map[Layer]bool{Seccomp: true}}, Try: "have 64 processes at once"}
	if os.Getuid() == 0 {
		order.UID = uid
	}
	o := launched(t, order, nil)
	if o.Fatal != "" {
		t.Fatal(o.Fatal)
	}
	if !o.Report.Held(UserNS) {
		t.Skipf("no user namespace:\n%s", o.Report)
	}
	if o.Done {
		t.Errorf("64 processes at once, with a bound of 40:\n%s", o.Report)
	}
	order.Policy.Tasks = 0
	if o := launched(t, order, nil); o.Fatal != "" || !o.Done {
		t.Errorf("64 processes at once, without a bound: %s %s", o.Fatal, o.Error)
	}
}

// TestDeathSignal ends a parent: the child ends with it, also as the first of a
// pid namespace and after root was dropped.
func TestDeathSignal(t *testing.T) {
	for _, p := range []Policy{{Keep: []int{3, 4}}, {Keep: []int{3, 4}, Drop: true}, {Keep: []int{3, 4}, Skip: only(UID), Drop: true}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		o := launched(t, launchOrder{Policy: p, Abandon: true}, []*os.File{w})
		w.Close()
		if o.Fatal != "" {
			t.Fatal(o.Fatal)
		}
		if err := r.SetReadDeadline(time.Now().Add(childTimeout)); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF { // no one holds the other end
			t.Errorf("%+v: the child lives on: %d, %v", p, n, err)
			_ = unix.Kill(o.PID, unix.SIGKILL)
		}
		r.Close()
	}
}

// TestDumpable has a process without rights look into a jailed one of the same
// user: a sibling that was broken out of.
func TestDumpable(t *testing.T) {
	for _, layers := range [][]Layer{{Capabilities}, {Capabilities, Dumpable}} {
		pid := lingering(t, Policy{Skip: only(layers...), Keep: []int{3}})
		at, err := mapped(pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"process_vm_readv of one", "read one's /proc/PID/mem", "ptrace a process of the same user"} {
			o := run(Policy{Skip: only(Capabilities)}, name, scene{Victim: pid, VictimAt: at}, nil)
			if want := len(layers) == 1; o.Fatal != "" || o.Done != want {
				t.Errorf("%v, %s: succeeds %v, want %v: %s %s", layers, name, o.Done, want, o.Fatal, o.Error)
			}
		}
	}
}

// lingering starts a process in the jail.
func lingering(t *testing.T, p Policy) (pid int) {
	t.Helper()
	cmd, err := startLingering(p, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

// startLingering starts one and waits until it has entered. files follow its
// descriptor 3.
func startLingering(p Policy, death syscall.Signal, files []*os.File) (*exec.Cmd, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var in io.WriteCloser
	cmd, given, err := Start(p, func() *exec.Cmd {
		cmd := exec.Command(self())
		cmd.Env = append(os.Environ(), childEnv+"=jailed")
		cmd.ExtraFiles = append([]*os.File{w}, files...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: death}
		in, _ = cmd.StdinPipe()
		return cmd
	})
	w.Close()
	if err != nil {
		return nil, err
	}
	err = json.NewEncoder(in).Encode(order{Setup: Setup{p, given}, Attempt: "linger"})
	in.Close()
	if err == nil {
		err = r.SetReadDeadline(time.Now().Add(childTimeout))
	}
	if err == nil {
		_, err = r.Read(make([]byte, 1))
	}
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return cmd, nil
}

// compileModule has the engine write machine code and run it, with a cache in the
// scratch directory if there is one.
func compileModule(s *scene) error {
	module := "\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x00\x01\x7f\x03\x02\x01\x00\x07\x05\x01\x01f\x00\x00\x0a\x06\x01\x04\x00\x41\x2a\x0b"
	config := wazero.NewRuntimeConfigCompiler()
	if s.Scratch != "" {
		cache, err := wazero.NewCompilationCacheWithDir(s.Scratch + "/cache")
		if err != nil {
			return err
		}
		config = config.WithCompilationCache(cache)
	}
	ctx := context.Background()
	m, err := wazero.NewRuntimeWithConfig(ctx, config).Instantiate(ctx, []byte(module))
	if err != nil {
		return err
	}
	r, err := m.ExportedFunction("f").Call(ctx)
	if err == nil && r[0] != 42 {
		err = fmt.Errorf("%d, want 42", r[0])
	}
	return err
}

// Probe's answer must not depend on what is in its way: a command that is none.
func TestProbeFails(t *testing.T) {
	if _, err := Probe(Policy{}, func() *exec.Cmd { return exec.Command("/nonexistent") }); err == nil || !strings.Contains(err.Error(), "nonexistent") {
		t.Errorf("error %v", err)
	}
	var b bytes.Buffer
	if err := ProbeChild(strings.NewReader("x"), &b); err == nil {
		t.Error("no error")
	}
	if _, err := Enter(Policy{Read: []string{"relative"}}, Given{}); err == nil {
		t.Error("no error for a relative path")
	}
}

func TestReport(t *testing.T) {
	r := Report{{Root, true, ""}, {UID, false, "stays root"}}
	b, err := json.Marshal(r)
	if want := `[{"Layer":"root","Held":true},{"Layer":"uid","Held":false,"Why":"stays root"}]`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	if m := r.Missing(); len(m) != 1 || m[0].Layer != UID || r.Missing(UID) != nil {
		t.Errorf("missing %v", m)
	}
	if want := "root         yes\nuid          no   stays root\n"; fmt.Sprint(r) != want {
		t.Errorf("%q", fmt.Sprint(r))
	}
}
