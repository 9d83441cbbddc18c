package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const lib = "../../guests/lib"

// native builds a program for this machine.
func native(t *testing.T, name string) string {
	t.Helper()
	source, compiler, std := name+".c", "cc", "-std=gnu11"
	if name == "forkthrow" {
		source, compiler, std = name+".cpp", "c++", "-std=gnu++17"
	}
	path, err := exec.LookPath(compiler)
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(ctx, path, std, "-O1", "-w", "-pthread", "-I"+lib, "-o", out, filepath.Join("testdata", source))
	if compiler == "cc" {
		build.Args = append(build.Args, filepath.Join(lib, "posix.c"))
	}
	if b, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out
}

// ends runs a program of this machine in a directory of its own and returns what it
// prints and its exit code, as in want.
func ends(t *testing.T, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Whoever runs the tests may ignore signals (nohup(1) does), which programs inherit.
	cmd := exec.CommandContext(ctx, "env", append([]string{"--default-signal"}, argv...)...)
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out) + fmt.Sprintf("rc %d\n", cmd.ProcessState.ExitCode())
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// programs are the names in want.
func programs(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/want/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d programs: %v", len(files), err)
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".txt"))
	}
	return names
}

// scripts are those of the shell.
func scripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/scripts/*.sh")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	return files
}

// What programs must print is what they print on Linux.
func TestNatively(t *testing.T) {
	for _, name := range programs(t) {
		if name == "jobs" || name == "spawn" {
			continue // their calls are those of stasis_1 and WASIX, which Linux has by other names
		}
		t.Run(name, func(t *testing.T) {
			argv := []string{native(t, name)}
			if name == "exec" {
				argv = append(argv, argv[0])
			}
			if got, want := ends(t, argv...), read(t, "testdata/want/"+name+".txt"); got != want {
				t.Errorf("on Linux: got %s\nrecorded: %s", got, want)
			}
		})
	}
}

// What the shell must print of its scripts is what it prints on Linux, and what
// dash prints.
func TestScriptsNatively(t *testing.T) {
	shells := map[string]string{"sh": native(t, "sh")}
	if path, err := exec.LookPath("dash"); err == nil {
		shells["dash"] = path
	}
	for _, script := range scripts(t) {
		path, err := filepath.Abs(script)
		if err != nil {
			t.Fatal(err)
		}
		want := read(t, strings.TrimSuffix(script, ".sh")+".txt")
		for name, shell := range shells {
			if got := ends(t, shell, path); got != want {
				t.Errorf("%s, %s: got %s\nrecorded: %s", filepath.Base(script), name, got, want)
			}
		}
	}
}
