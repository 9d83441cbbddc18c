package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/spec"
)

// A core dump that cannot be written is told of, and changes nothing else.
func TestCoreCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.core")
	must(t, os.WriteFile(path, nil, 0o600))
	end := func(core *os.File) (code int, dumped, problem string) {
		module, err := os.Open("../../cmd/stasis/testdata/guests/trap.wasm")
		must(t, err)
		defer module.Close()
		e, err := StartEmbedded(t.Context(), Options{
			Name: "a", Spec: spec.Spec{Version: spec.Version, Module: "/trap.wasm", Coredump: path},
			Module: module, Granted: Granted{Core: core},
		}, [3]*os.File{})
		must(t, err)
		x, err := e.Wait(t.Context())
		must(t, err)
		must(t, e.Close())
		return x.Code, x.Core, x.CoreError
	}
	open := func(flag int) *os.File {
		f, err := os.OpenFile(path, flag, 0)
		must(t, err)
		return f
	}
	closed := open(os.O_WRONLY)
	closed.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	for name, c := range map[string]struct {
		file *os.File
		want string
	}{
		"closed": {closed, "file already closed"}, "read only": {open(os.O_RDONLY), "bad file descriptor"},
		"full": {full, "no space left on device"},
	} {
		code, dumped, problem := end(c.file)
		if code != codeTrap || dumped != "" || !strings.HasPrefix(problem, "core dump "+path+": ") || !strings.HasSuffix(problem, c.want) {
			t.Errorf("%s: exit code %d, core dump %q, error %q", name, code, dumped, problem)
		}
	}
	if code, dumped, problem := end(open(os.O_WRONLY)); code != codeTrap || dumped != path || problem != "" {
		t.Errorf("exit code %d, core dump %q, error %q", code, dumped, problem)
	}
	if st, err := os.Stat(path); err != nil || st.Size() == 0 {
		t.Errorf("%v, %v", st, err)
	}
}
