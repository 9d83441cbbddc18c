// Package portable saves guests on one architecture and wakes them on another
// one, which an emulator provides (qemu-user): in both directions, all that can
// be seen of a guest has to be as if it had stayed where it was.
//
// Only what runs in the test's own process can be emulated: systems are woken
// in process, without a jail.
package portable

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/guests"
)

// emulators are the foreign architecture of each one, and what runs its
// programs.
var emulators = map[string]struct{ arch, qemu string }{
	"amd64": {"arm64", "qemu-aarch64"},
	"arm64": {"amd64", "qemu-x86_64"},
}

// A side is an architecture.
type side struct {
	arch     string
	emulator []string // what runs its programs; none for our own
	program  string   // that both sides have
}

// sides returns ours and the foreign one.
func sides(t *testing.T) (ours, foreign side) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("qemu-user runs programs of Linux only")
	}
	e, ok := emulators[runtime.GOARCH]
	if !ok {
		t.Skipf("no emulator is known for %s", runtime.GOARCH)
	}
	for _, name := range []string{e.qemu + "-static", e.qemu} {
		if path, err := exec.LookPath(name); err == nil {
			return side{arch: runtime.GOARCH}, side{arch: e.arch, emulator: []string{path}}
		}
	}
	t.Skipf("%s is not installed: try apt-get install qemu-user-static", e.qemu)
	return
}

// build builds a program of ours for a side: a command, or a package's tests.
func (s *side) build(t *testing.T, pkg string, tests bool) {
	t.Helper()
	s.program = filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := []string{"build", "-o", s.program, module + pkg}
	if tests {
		args = []string{"test", "-c", "-o", s.program, module + pkg}
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOARCH="+s.arch, "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for %s: %v\n%s", pkg, s.arch, err, b)
	}
}

// run runs the program of a side in dir.
func (s *side) run(t *testing.T, dir string, args ...string) {
	t.Helper()
	all := append(append([]string(nil), s.emulator...), s.program)
	all = append(all, args...)
	cmd := exec.CommandContext(t.Context(), all[0], all[1:]...)
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %s: %v\n%.8000s", s.arch, strings.Join(all, " "), err, b)
	}
}

const module = "github.com/stasis-run/stasis/"

// directions builds a program for both sides and calls f for both directions.
func directions(t *testing.T, pkg string, tests bool, f func(t *testing.T, from, to *side)) {
	ours, foreign := sides(t)
	ours.build(t, pkg, tests)
	foreign.build(t, pkg, tests)
	t.Run("to "+foreign.arch, func(t *testing.T) { f(t, &ours, &foreign) })
	t.Run("from "+foreign.arch, func(t *testing.T) { f(t, &foreign, &ours) })
}

// TestGuests: the guests of test/guest, at some of their safepoints and calls.
func TestGuests(t *testing.T) {
	stops := "10"
	if testing.Short() {
		stops = "2"
	}
	directions(t, "test/guest", true, func(t *testing.T, from, to *side) {
		dir := t.TempDir()
		from.run(t, "../guest", "-test.run", "^TestSave$", "-save", dir, "-stops", stops)
		to.run(t, "../guest", "-test.run", "^TestWake$", "-wake", dir)
	})
}

// TestCorpus: the images of test/crossversion on the foreign architecture, and
// here those that it makes of the same guests.
func TestCorpus(t *testing.T) {
	ours, foreign := sides(t)
	t.Run("to "+foreign.arch, func(t *testing.T) {
		which := "^TestRestore$"
		if testing.Short() { // not those that compute
			which = "^TestRestore$/./^(tables|deep|globals|grown|files|tmpfs|tty|args|start|pending)$"
		}
		foreign.build(t, "test/crossversion", true)
		foreign.run(t, "../crossversion", "-test.run", which)
	})
	t.Run("from "+foreign.arch, func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes a minute")
		}
		dir := t.TempDir()
		foreign.build(t, "test/crossversion/make", false)
		foreign.run(t, "../..", filepath.Join(dir, "v1"))
		ours.build(t, "test/crossversion", true)
		ours.run(t, "../crossversion", "-test.run", "^TestRestore$", "-corpus", dir)
	})
}

// TestPrograms: programs that others wrote, in mid-work.
func TestPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	directions(t, "test/portable/helper", false, func(t *testing.T, from, to *side) {
		for _, name := range []string{"lua", "quickjs", "sqlite", "nbody", "sha256"} {
			t.Run(name, func(t *testing.T) {
				path, err := guests.Path(t.Context(), name)
				if guests.IsUnavailable(err) {
					t.Skipf("the guest cannot be had here: %v", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				from.run(t, ".", "save", name, path, dir)
				to.run(t, ".", "wake", name, path, dir)
			})
		}
	})
}
