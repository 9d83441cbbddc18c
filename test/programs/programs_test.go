package programs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/test/worlds"
)

var (
	update = flag.Bool("update", false, "record what the scripts print as what they must print")
	saves  = flag.Int("saves", 30, "how often each script is saved and woken at most; a fourth with -short")
)

// TestMain keeps Go's collector from starting behind a looping guest.
func TestMain(m *testing.M) {
	flag.Parse()
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// commands are the guests that scripts run, by the names that they have there.
var commands = map[string]string{"sh": "dash", "lua": "lua5.4", "sqlite3": "sqlite3", "make": "make"}

// A script is a file of testdata.
type script struct {
	name, text, want string
	needs            []string // besides sh
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	return string(b)
}

// scripts are all there are; with -short those of the shell, the first of them and one
// of each command.
func scripts(t *testing.T) (list []script) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.sh")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, f := range files {
		s := script{name: strings.TrimSuffix(filepath.Base(f), ".sh"), text: read(t, f), want: read(t, strings.TrimSuffix(f, ".sh")+".txt")}
		first, _, _ := strings.Cut(s.text, "\n")
		if needs, ok := strings.CutPrefix(first, "# needs "); ok {
			s.needs = strings.Fields(needs)
		}
		list = append(list, s)
	}
	return list
}

// module is a command's module, fetched and built.
func module(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	path, err := guests.Path(ctx, commands[command])
	if guests.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// program is dash with a script and the commands that it needs.
func (s *script) program(t *testing.T, code *worlds.Code) *worlds.Program {
	t.Helper()
	sh := module(t, "sh")
	p := &worlds.Program{
		Code: code, Source: []byte(sh), Dev: true,
		Args:  []string{"sh", "/script.sh"},
		Env:   []string{"PATH=/bin"},
		Files: map[string]string{"/script.sh": s.text, "/bin/sh": sh, "/tmp/none": ""},
	}
	for _, command := range s.needs {
		p.Files["/bin/"+command] = module(t, command)
	}
	return p
}

func check(t *testing.T, how, got, want string) {
	t.Helper()
	if d := worlds.Difference(got, want); d != "" {
		t.Errorf("%s: %s\nall of it:\n%s", how, d, got)
	}
}

// Scripts print what they print on Linux: left alone, and saved and woken in the middle
// of their pipelines.
func TestScripts(t *testing.T) {
	code := worlds.NewCode(t, wazero.Options{})
	for _, s := range scripts(t) {
		t.Run(s.name, func(t *testing.T) {
			p := s.program(t, code)
			got := p.Run(t, kernel.Stress{})
			if *update {
				if err := os.WriteFile(filepath.Join("testdata", s.name+".txt"), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				s.want = got
			}
			check(t, "left alone", got, s.want)
			most := *saves
			if testing.Short() {
				most /= 4
			}
			got, n, processes := p.Saved(t, most)
			check(t, fmt.Sprintf("saved %d times", n), got, s.want)
			t.Logf("saved %d times, with up to %d processes", n, processes)
		})
	}
}

// So they do with all their processes unwound, and stopped, at every N-th safepoint and
// call.
func TestScriptsStopped(t *testing.T) {
	code := worlds.NewCode(t, wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly})
	for _, s := range scripts(t) {
		if testing.Short() && len(s.needs) > 0 {
			continue // large modules, compiled once more
		}
		t.Run(s.name, func(t *testing.T) {
			p := s.program(t, code)
			for _, stress := range []kernel.Stress{
				{Every: 13},
				{Every: 101, Stopped: func(s *kernel.ExternalStop) { s.End() }},
			} {
				check(t, fmt.Sprintf("every %d, stops %v", stress.Every, stress.Stopped != nil), p.Run(t, stress), s.want)
			}
		})
	}
}

// What scripts must print is what they print on Linux, where there are the commands.
func TestScriptsNatively(t *testing.T) {
	for _, s := range scripts(t) {
		t.Run(s.name, func(t *testing.T) {
			bin := t.TempDir()
			for _, command := range append([]string{"sh"}, s.needs...) {
				from := commands[command]
				path, err := exec.LookPath(from)
				if err != nil {
					t.Skip(err)
				}
				if err := os.Symlink(path, filepath.Join(bin, command)); err != nil {
					t.Fatal(err)
				}
			}
			file, err := filepath.Abs(filepath.Join("testdata", s.name+".sh"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(file, filepath.Join(bin, "script.sh")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), worlds.Patience)
			defer cancel()
			// Whoever runs the tests may ignore signals, which programs inherit.
			cmd := exec.CommandContext(ctx, "env", "--default-signal", "PATH="+bin, filepath.Join(bin, "sh"), filepath.Join(bin, "script.sh"))
			cmd.Dir, cmd.WaitDelay = t.TempDir(), 5*time.Second
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			out, err := cmd.CombinedOutput()
			var ended *exec.ExitError
			if err != nil && !errors.As(err, &ended) {
				t.Fatal(err)
			}
			got := string(out) + fmt.Sprintf("rc %d\n", cmd.ProcessState.ExitCode())
			check(t, "on Linux", strings.ReplaceAll(got, filepath.Join(bin, "script.sh"), "/script.sh"), s.want)
		})
	}
}
