package jail

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write doc/jail.md's matrix")

const doc = "../../doc/jail.md"

// columns are the layers that are tried alone. A user namespace is made only
// to make the others.
var columns = []Layer{MountNS, PIDNS, NetNS, IPCNS, UTSNS, Descriptors, Limits, Root, Landlock, Capabilities, UID, NoNewPrivs, Seccomp, Dumpable}

// only is a policy's Skip that leaves just these layers on, with what they cannot
// be without.
func only(layers ...Layer) map[Layer]bool {
	skip := make(map[Layer]bool)
	for _, l := range Layers {
		skip[l] = true
	}
	for _, l := range layers {
		delete(skip, l)
		if l == Root {
			delete(skip, MountNS)
		}
	}
	return skip
}

// newScene builds what attempts work on, for children of the user uid. files
// become their descriptors 3 and up.
func newScene(t *testing.T, uid int) (s scene, p Policy, files []*os.File) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	top := publicDir(t)
	for _, d := range []string{"rw", "ro", "cache", "scratch"} {
		must(os.Mkdir(filepath.Join(top, d), 0o755))
	}
	for _, f := range []string{"outside", "rw/file", "ro/file", "cache/entry"} {
		must(os.WriteFile(filepath.Join(top, f), []byte("text of "+f), 0o644))
	}
	must(os.Symlink(filepath.Join(top, "outside"), filepath.Join(top, "rw/link")))
	// Not a shell: a test that is killed leaves it behind.
	id, err := os.ReadFile("/usr/bin/id")
	must(err)
	must(os.WriteFile(filepath.Join(top, "setuid"), id, 0o755))
	if os.Getuid() == 0 {
		must(filepath.Walk(top, func(path string, _ os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, uid, uid)
		}))
		must(os.Chown(filepath.Join(top, "setuid"), 0, 0))
		must(os.Chmod(filepath.Join(top, "setuid"), 0o755|os.ModeSetuid))
	}

	open := func(path string, flags int) {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		must(err)
		f := os.NewFile(uintptr(fd), path)
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	open(filepath.Join(top, "rw"), unix.O_RDONLY|unix.O_DIRECTORY)
	open(filepath.Join(top, "ro"), unix.O_PATH|unix.O_DIRECTORY)
	open("/", unix.O_RDONLY|unix.O_DIRECTORY)
	open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY)

	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	must(err)
	t.Cleanup(func() { tcp.Close() })
	lf, err := tcp.(*net.TCPListener).File()
	must(err)
	t.Cleanup(func() { lf.Close() })
	files = append(files, lf)
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	must(err)
	free.Close()
	path := filepath.Join(top, "socket")
	ul, err := net.Listen("unix", path)
	must(err)
	t.Cleanup(func() { ul.Close() })
	must(os.Chmod(path, 0o777))
	abstract := "stasis-jail-test-" + strconv.Itoa(os.Getpid())
	al, err := net.Listen("unix", "@"+abstract)
	must(err)
	t.Cleanup(func() { al.Close() })
	key := 0x57a515 + os.Getpid()
	shm, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o666)
	must(err)
	t.Cleanup(func() { unix.SysvShmCtl(shm, unix.IPC_RMID, nil) })

	s = scene{
		RW: 3, RO: 4, Leak: 5, TTY: 6,
		Cache:   filepath.Join(top, "cache"),
		Outside: filepath.Join(top, "outside"),
		Scratch: filepath.Join(top, "scratch"),
		Port:    tcp.Addr().(*net.TCPAddr).Port, Free: free.Addr().(*net.TCPAddr).Port,
		Unix: path, Abstract: abstract, Shm: key,
		SetUID: filepath.Join(top, "setuid"), WantUID: "0",
	}
	s.Victim, s.VictimAt = newVictim(t, uid)
	p = Policy{
		Dirs:    []Dir{{FD: 3, Writable: true}, {FD: 4}},
		Read:    []string{s.Cache},
		Keep:    []int{6, 7},
		Sockets: true,
	}
	return s, p, files
}

// newVictim starts a process of the user that does nothing.
func newVictim(t *testing.T, uid int) (pid int, at uint64) {
	t.Helper()
	cmd := exec.Command(self())
	if os.Getuid() != uid {
		cmd = exec.Command(publicSelf(t))
		cmd.SysProcAttr = credential(uid)
	}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childEnv+"=idle")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	at, err := mapped(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, at
}

// mapped is an address that is mapped in a process.
func mapped(pid int) (uint64, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(maps), "-")
	return strconv.ParseUint(first, 16, 64)
}

// try runs one attempt with the layers that skip leaves.
func try(t *testing.T, a attempt, s scene, p Policy, files []*os.File, skip map[Layer]bool) outcome {
	t.Helper()
	p.Skip = skip
	if skip != nil && !skip[UID] {
		// Root is dropped only where no directory is granted.
		for _, d := range p.Dirs {
			p.Keep = append(slices.Clone(p.Keep), d.FD)
		}
		p.Dirs, p.Drop = nil, true
	}
	o := run(p, a.name, s, files)
	if o.Fatal != "" {
		t.Fatalf("%s: %s", a.name, o.Fatal)
	}
	return o
}

// A row is what was measured of an attempt.
type row struct {
	attempt
	alone []Layer // that stop it, each alone
}

// Where the matrix is in the document.
const (
	matrixBegin = "<!-- matrix: go test ./internal/jail -run TestMatrix -update -->\n"
	matrixEnd   = "<!-- end -->"
)

// claimed reads the matrix from the document.
func claimed(t *testing.T) (before string, alone map[string][]Layer, after string) {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), matrixBegin)
	matrix, after, ok2 := strings.Cut(rest, matrixEnd)
	if !ok || !ok2 {
		t.Fatalf("%s: no place for the matrix", doc)
	}
	alone = make(map[string][]Layer)
	for line := range strings.Lines(matrix) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		var layers []Layer
		for i, c := range cells[1:] {
			if strings.TrimSpace(c) == "✓" && i < len(columns) {
				layers = append(layers, columns[i])
			}
		}
		alone[strings.TrimSpace(cells[0])] = layers
	}
	return before, alone, after
}

// TestMatrix makes each attempt without a jail, where it must succeed; in the
// whole jail, where it must not; and with each layer alone. What the layers
// stop alone must be what doc/jail.md says; the short form tries only those that
// it says stop an attempt.
func TestMatrix(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: what succeeds without a jail, and so what a layer stops, is root's here. TestRootless has the other")
	}
	if r, err := Probe(Policy{}, probeCommand); err != nil {
		t.Fatal(err)
	} else if missing := r.Missing(UID); len(missing) > 0 {
		t.Skipf("this host lacks layers:\n%s", missing)
	}
	s, p, files := newScene(t, 0)
	before, says, after := claimed(t)
	var rows []row
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			if o := try(t, a, s, p, files, only(a.base...)); !o.Done {
				t.Skipf("does not even succeed without a jail: %s", o.stopped())
			}
			if o := try(t, a, s, p, files, nil); o.Done {
				t.Errorf("succeeds in the whole jail:\n%s", o.Report)
			}
			r := row{attempt: a}
			for _, l := range columns {
				if slices.Contains(a.base, l) || testing.Short() && !slices.Contains(says[a.name], l) {
					continue
				}
				o := try(t, a, s, p, files, only(append([]Layer{l}, a.base...)...))
				if !o.Done {
					r.alone = append(r.alone, l)
				}
				t.Logf("%-12s %s", l, o.stopped())
			}
			if len(r.alone) == 0 {
				t.Error("no layer stops it alone")
			}
			if !*update && !slices.Equal(r.alone, says[a.name]) {
				t.Errorf("stopped by each of %v; %s says %v", r.alone, doc, says[a.name])
			}
			rows = append(rows, r)
		})
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(doc, []byte(before+matrixBegin+table(rows)+matrixEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table is the matrix in Markdown.
func table(rows []row) string {
	var b bytes.Buffer
	b.WriteString("| Attempt |")
	for _, l := range columns {
		fmt.Fprintf(&b, " %s |", l)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(columns)) + "\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |", r.name)
		for _, l := range columns {
			cell := ""
			switch {
			case slices.Contains(r.base, l):
				cell = "on"
			case slices.Contains(r.alone, l):
				cell = "✓"
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func probeCommand() *exec.Cmd {
	cmd := exec.Command(self())
	cmd.Env = append(os.Environ(), childEnv+"=probe")
	cmd.Stderr = os.Stderr
	return cmd
}

// TestEveryLayer enters the jail with what this host has.
func TestEveryLayer(t *testing.T) {
	start := time.Now()
	r, err := Probe(Policy{}, probeCommand)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v\n%s", time.Since(start), r)
}
