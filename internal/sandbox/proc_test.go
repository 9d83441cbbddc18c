package sandbox

import (
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/vfs"
)

// What /proc tells of a running system is what it was given, and what its process does.
func TestProc(t *testing.T) {
	r := start(t, "sleep", spec.Spec{
		Memory: 1 << 20, PIDs: 77, Ulimits: []spec.Ulimit{{Name: "nofile", Soft: 20, Hard: 30}, {Name: "fsize", Soft: 5000, Hard: 5000}},
	})
	ctx, err := vfs.NewFSContext(r.sys.world.Namespace, "/")
	must(t, err)
	defer ctx.Close()
	read := func(name string) string {
		t.Helper()
		f, errno := ctx.OpenAt(nil, name, abi.SymlinkFollow, 0, true, false, 0)
		must(t, errno.Err())
		defer f.DecRef()
		b := make([]byte, 4096)
		n, errno := f.Read([][]byte{b})
		must(t, errno.Err())
		return string(b[:n])
	}
	limits := read("/proc/1/limits")
	for _, line := range []string{
		"Max open files            20                   30                   files",
		"Max file size             5000                 5000                 bytes",
		"Max processes             77                   77                   processes",
		"Max address space         1048576              1048576              bytes",
		"Max cpu time              unlimited            unlimited            seconds",
	} {
		if !strings.Contains(limits, line) {
			t.Errorf("limits lack %q:\n%s", line, limits)
		}
	}
	if got := read("/proc/1/task/1/comm"); got != "sleep\n" {
		t.Errorf("comm is %q", got)
	}
	if got := read("/proc/1/task/1/status"); !strings.Contains(got, "Pid:\t1\n") || !strings.Contains(got, "Threads:\t1\n") {
		t.Errorf("status is %s", got)
	}
	if got := read("/proc/1/task/1/stat"); !strings.HasPrefix(got, "1 (sleep) ") {
		t.Errorf("stat is %s", got)
	}
	if _, errno := ctx.StatAt(nil, "/proc/1/task/2", 0); errno != abi.ENOENT {
		t.Errorf("a thread that there is not: %v", errno)
	}
}
