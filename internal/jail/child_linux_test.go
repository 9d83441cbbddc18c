package jail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary takes the engine's place: started with childEnv set, it does
// what its standard input says instead of running tests.
const childEnv = "STASIS_JAIL_TEST_CHILD"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of children: they sleep for a second otherwise
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "probe":
		if err := ProbeChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "jailed":
		jailed()
	case "launch":
		launch()
	case "idle":
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

// An order is what a child is told.
type order struct {
	Setup
	Attempt string
	Scene   scene
}

// An outcome is what it answers.
type outcome struct {
	Report Report
	Done   bool   // the attempt succeeded: a breach
	Error  string // what stopped it
	Fatal  string // the test itself failed
	Took   time.Duration
	PID    int
}

// stopped says how an attempt ended.
func (o outcome) stopped() string {
	if o.Done {
		return "SUCCEEDED"
	}
	return o.Error
}

func jailed() {
	var o order
	out := outcome{}
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		out.Fatal = err.Error()
	} else {
		start := time.Now()
		var err error
		out.Report, err = Enter(o.Policy, o.Given)
		out.Took = time.Since(start)
		if err != nil {
			out.Fatal = err.Error()
		} else if try := attemptNamed(o.Attempt); try != nil {
			if err := try(&o.Scene); err != nil {
				out.Error = err.Error()
			} else {
				out.Done = true
			}
		}
	}
	b, _ := json.Marshal(out)
	os.Stdout.Write(b)
}

// self is the test binary, and in a launched process what it was started as.
func self() string {
	if s := os.Getenv("STASIS_JAIL_TEST_SELF"); s != "" {
		return s
	}
	s, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return s
}

// childTimeout bounds each child.
const childTimeout = 20 * time.Second

// run jails a child and lets it make an attempt. files become descriptors 3
// and up.
func run(p Policy, attempt string, s scene, files []*os.File) outcome {
	var in, out, stderr bytes.Buffer
	var feed *os.File
	cmd, given, err := Start(p, func() *exec.Cmd {
		cmd := exec.Command(self())
		cmd.Env = append(os.Environ(), childEnv+"=jailed")
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		if feed != nil {
			feed.Close()
		}
		feed = w
		out.Reset()
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = r, &out, &stderr, files
		return cmd
	})
	if err != nil {
		return outcome{Fatal: err.Error()}
	}
	stop := time.AfterFunc(childTimeout, func() { cmd.Process.Kill() })
	defer stop.Stop()
	cmd.Stdin.(*os.File).Close()
	_ = json.NewEncoder(&in).Encode(order{Setup{p, given}, attempt, s})
	feed.Write(in.Bytes())
	feed.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() && ws.Signal() == unix.SIGSYS {
			return outcome{Error: "killed: SIGSYS"}
		}
	}
	var o outcome
	if uid := strings.TrimSpace(out.String()); uid != "" && strings.Trim(uid, "0123456789") == "" { // printed by a program that it became
		if o.Done = uid == s.WantUID; !o.Done {
			o.Error = "ran as uid " + uid
		}
		return o
	}
	if e := json.Unmarshal(out.Bytes(), &o); e != nil || err != nil {
		o.Fatal = fmt.Sprintf("child: %v: output %q, stderr %q", err, out.String(), stderr.String())
	}
	return o
}

// A launcher's order: jail a child from a process with less than the test has.
type launchOrder struct {
	UID    int  // 0: stay
	Docker bool // as in an ordinary Docker container
	Policy Policy
	Try    string
	Scene  scene
	Files  int // how many descriptors from 3 on are for the child

	Abandon bool // start a child that stays, and end
}

// launch gives up what the order says and runs a child.
func launch() {
	var o launchOrder
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		panic(err)
	}
	if o.Docker {
		if err := likeDocker(); err != nil {
			panic(err)
		}
	}
	var files []*os.File
	for i := range o.Files {
		files = append(files, os.NewFile(uintptr(3+i), "handed in"))
	}
	var r outcome
	if o.Abandon {
		runtime.LockOSThread() // whose end the signal tells
		cmd, err := startLingering(o.Policy, unix.SIGKILL, files)
		if err != nil {
			r.Fatal = err.Error()
		} else {
			r.PID = cmd.Process.Pid
		}
	} else {
		r = run(o.Policy, o.Try, o.Scene, files)
	}
	b, _ := json.Marshal(r)
	os.Stdout.Write(b)
}

// launched runs a launcher.
func launched(t *testing.T, o launchOrder, files []*os.File) outcome {
	t.Helper()
	o.Files = len(files)
	in, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	bin := self()
	if o.UID != 0 {
		bin = publicSelf(t)
	}
	var out, stderr bytes.Buffer
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), childEnv+"=launch", "STASIS_JAIL_TEST_SELF="+bin)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(in), &out, &stderr, files
	if o.UID != 0 {
		cmd.Dir = "/"
		cmd.SysProcAttr = credential(o.UID)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(2*childTimeout, func() { cmd.Process.Kill() })
	defer stop.Stop()
	var r outcome
	if err := cmd.Wait(); err != nil {
		t.Fatalf("launcher: %v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("launcher: %v: output %q, stderr %q", err, out.String(), stderr.String())
	}
	return r
}

// publicSelf is a copy of the test binary that any user may start.
func publicSelf(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(self())
	if err != nil {
		t.Fatal(err)
	}
	dir := publicDir(t)
	if err := os.WriteFile(dir+"/jail.test", b, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + "/jail.test"
}

// publicDir is a temporary directory that any user may look into: t.TempDir's
// parents are not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "stasis-jail-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// dockerCaps are an ordinary container's: CHOWN, DAC_OVERRIDE, FSETID, FOWNER,
// MKNOD, NET_RAW, SETGID, SETUID, SETFCAP, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT,
// KILL, AUDIT_WRITE.
const dockerCaps = 0xa80425fb

// likeDocker leaves the process what an ordinary Docker container has, as far as
// it matters here: its capabilities, and a filter that refuses namespaces and
// mounts.
func likeDocker() error {
	runtime.LockOSThread() // of a process that ends soon
	list, err := openThreads()
	if err != nil {
		return err
	}
	defer list.close()
	var calls []call
	for c := uintptr(0); c < 41; c++ {
		if dockerCaps&(1<<c) == 0 {
			calls = append(calls, prctl(unix.PR_CAPBSET_DROP, c))
		}
	}
	set := &[2]unix.CapUserData{{Effective: dockerCaps, Permitted: dockerCaps}}
	calls = append(calls,
		call{unix.SYS_CAPSET, [6]uintptr{uintptr(unsafe.Pointer(&noCapsHeader)), uintptr(unsafe.Pointer(set))}},
		prctl(unix.PR_SET_NO_NEW_PRIVS, 1))
	for _, c := range calls {
		if _, _, errno := unix.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], 0, 0, 0); errno != 0 {
			return fmt.Errorf("call %d: %w", c.nr, errno)
		}
	}
	if err := list.broadcast(calls); err != nil {
		return err
	}
	runtime.KeepAlive(set)
	thread := when(unix.SYS_CLONE, bits(0, spaceFlags&^uint32(unix.CLONE_VFORK|unix.CLONE_PTRACE), 0))
	a := newActions(allow)
	a[unix.SYS_CLONE].rule = &thread
	a.set(nosys, unix.SYS_CLONE3)
	a.set(refuse, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_OPEN_TREE,
		unix.SYS_FSOPEN, unix.SYS_MOVE_MOUNT, unix.SYS_FSMOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_KEYCTL, unix.SYS_BPF,
		unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP)
	return installFilter(compile(a, allow))
}

func credential(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}

// errands are what children do that are no attempts to break out.
var errands []attempt

// acceptOne accepts a connection on the listener that is descriptor 7.
func acceptOne(*scene) error {
	if err := unix.SetNonblock(7, true); err != nil {
		return err
	}
	fd, _, err := unix.Accept4(7, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if errors.Is(err, unix.EAGAIN) {
		return nil // it may, and there is none
	}
	return closed(fd, err)
}

// churn makes threads that end.
func churn() {
	for {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread() // ends with the goroutine
			close(done)
		}()
		<-done
		time.Sleep(100 * time.Microsecond)
	}
}

// linger says that it has entered the jail and stays.
func linger(*scene) error {
	if _, err := unix.Write(3, []byte("x")); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

// restrictedThreads looks for a thread with rights.
func restrictedThreads(*scene) error {
	names, err := os.ReadDir("/proc/self/task")
	if err == nil {
		return fmt.Errorf("landlock does not hold: %v", names)
	}
	// Each thread tries to open a file.
	const n = 64
	errs := make(chan error, n)
	var wait sync.WaitGroup
	wait.Add(n)
	for range n {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			wait.Done()
			wait.Wait() // so that each has a thread of its own
			h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var d [2]unix.CapUserData
			err := unix.Capget(&h, &d[0])
			if err == nil && (d[0] != unix.CapUserData{} || d[1] != unix.CapUserData{}) {
				err = fmt.Errorf("thread %d has capabilities %v", unix.Gettid(), d)
			}
			if err == nil && open("/", unix.O_RDONLY) == nil {
				err = fmt.Errorf("thread %d is not under landlock", unix.Gettid())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

const goArch = runtime.GOARCH

// goList is the directory of a package.
func goList(t *testing.T, pkg string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
