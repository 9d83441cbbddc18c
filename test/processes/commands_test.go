package processes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/invariants"
)

var update = flag.Bool("update", false, "record what scripts print on Linux as what they must print")

// commandGuests are commands that others wrote for Unix, built with wasix-libc, by the
// names that scripts call them by.
var commandGuests = map[string]string{"sh": "dash", "lua": "lua5.4", "sqlite3": "sqlite3", "make": "make"}

// A commandScript is a script of testdata/commands, for dash.
type commandScript struct {
	name, path string
	needs      []string // commands besides sh: "# needs …" in its first line
}

// shortScripts are those that -short leaves.
var shortScripts = []string{"jobs", "lua", "pipelines"}

func commandScripts(t *testing.T) (list []commandScript) {
	t.Helper()
	files, err := filepath.Glob("testdata/commands/*.sh")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, f := range files {
		s := commandScript{name: strings.TrimSuffix(filepath.Base(f), ".sh"), path: f}
		if testing.Short() && (!slices.Contains(shortScripts, s.name) || invariants.Enabled && s.name == "lua") {
			continue // -race compiles Lua for half a minute
		}
		first, _, _ := strings.Cut(read(t, f), "\n")
		if needs, ok := strings.CutPrefix(first, "# needs "); ok {
			s.needs = strings.Fields(needs)
		}
		list = append(list, s)
	}
	return list
}

func (s *commandScript) want() string { return strings.TrimSuffix(s.path, ".sh") + ".txt" }

// commandModule is a command's module, fetched and built.
func commandModule(t *testing.T, command string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	path, err := guests.Path(ctx, commandGuests[command])
	if guests.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return []byte(read(t, path))
}

// commands are dash with each of the scripts, and the commands that it needs.
func commands(t *testing.T) (out []subject) {
	t.Helper()
	sh := commandModule(t, "sh")
	for _, s := range commandScripts(t) {
		name := filepath.Base(s.path)
		files, bin := map[string][]byte{name: []byte(read(t, s.path))}, map[string][]byte{"sh": sh}
		for _, command := range s.needs {
			bin[command] = commandModule(t, command)
		}
		out = append(out, subject{
			name: s.name, code: sh, want: read(t, s.want()),
			errand: errand{args: []string{name}, files: files, bin: bin, env: []string{"PATH=/bin"}},
		})
	}
	return out
}

// Scripts of commands that nobody here wrote print what they print on Linux: left alone,
// stopped at safepoints, and saved and woken in the middle of their pipelines.
func TestCommands(t *testing.T) {
	if testing.Short() {
		everyWay(t, commands(t), 101)
	} else {
		everyWay(t, commands(t), 13, 101)
	}
}

// So they do saved at calls, with tasks parked, too.
func TestCommandsSavedAtCalls(t *testing.T) {
	everywhere(t, long(t), wazero.Options{}, savedAtCalls)
}

// And at random safepoints.
func TestCommandsSavedAtRandom(t *testing.T) { everywhere(t, long(t), counted, savedAtRandom) }

// long are the commands, but not with -short: they take minutes.
func long(t *testing.T) []subject {
	t.Helper()
	if testing.Short() {
		t.Skip("hundreds of images: run without -short")
	}
	return commands(t)
}

// What scripts must print is what they print on Linux, where there are the commands.
func TestCommandsNatively(t *testing.T) {
	for _, s := range commandScripts(t) {
		t.Run(s.name, func(t *testing.T) {
			bin := t.TempDir()
			for _, command := range append([]string{"sh"}, s.needs...) {
				path, err := exec.LookPath(commandGuests[command])
				if err != nil {
					t.Skip(err)
				}
				if err := os.Symlink(path, filepath.Join(bin, command)); err != nil {
					t.Fatal(err)
				}
			}
			got := endsWith(t, bin, filepath.Join(bin, "sh"), s.path)
			if *update {
				if err := os.WriteFile(s.want(), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, s.want()); got != want {
				t.Errorf("on Linux: got %s\nrecorded: %s", got, want)
			}
		})
	}
}

// endsWith is ends with no commands but those of a directory.
func endsWith(t *testing.T, bin, sh, script string) string {
	t.Helper()
	script, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "env", "-i", "--default-signal", "PATH="+bin, sh, script)
	cmd.Dir, cmd.WaitDelay = t.TempDir(), 5*time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out) + fmt.Sprintf("rc %d\n", cmd.ProcessState.ExitCode())
}
