package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
)

// testsuiteEnv names a checkout of github.com/WebAssembly/testsuite. Its tests
// of the legacy encoding of exceptions are in no package that Go fetches, and
// not ours to copy.
const testsuiteEnv = "STASIS_TESTSUITE"

// legacyCommit is the checkout for which legacyCounts are right. Tests of a
// proposal that ended hardly change.
const legacyCommit = "193e551ff22663995b1ac95dc62344133669e14b"

var legacyCounts = Counts{89, 0, 7}

// legacySuite makes command files of the legacy tests, laid out as Run wants
// them, and returns their directory.
func legacySuite(t *testing.T) string {
	t.Helper()
	checkout := os.Getenv(testsuiteEnv)
	if checkout == "" {
		t.Skipf("%s names no checkout of github.com/WebAssembly/testsuite (at %s, say)", testsuiteEnv, legacyCommit[:12])
	}
	tool, err := exec.LookPath("wast2json")
	if err != nil {
		t.Skip("wast2json is not there: install wabt")
	}
	scripts, err := filepath.Glob(filepath.Join(checkout, "legacy", "*.wast"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%s: no legacy/*.wast: %v", checkout, err)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "legacy", "testdata")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, s := range scripts {
		to := filepath.Join(out, strings.TrimSuffix(filepath.Base(s), ".wast")+".json")
		cmd := exec.CommandContext(ctx, tool, "--enable-exceptions", "--enable-tail-call", s, "-o", to)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", s, err, b)
		}
	}
	linkSpectest(t, dir)
	return dir
}

// linkSpectest puts the module that all scripts may import where Run looks.
func linkSpectest(t *testing.T, dir string) {
	t.Helper()
	from, err := findDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(from, "testdata"), filepath.Join(dir, "testdata")); err != nil {
		t.Fatal(err)
	}
}

// The specification's tests of the legacy encoding pass in every way. There is
// no plain engine to measure them by: none that is written in Go runs it.
func TestLegacyExceptions(t *testing.T) {
	dir := legacySuite(t)
	for _, p := range stopPlans {
		t.Run(p.name, func(t *testing.T) {
			Run(t, Config{
				Suites: []string{"legacy"},
				Dir:    dir,
				New: func(ctx context.Context, suite string) (Host, error) {
					h, err := newPassHost(ctx, wazero.Options{Pass: p.pass, Interpret: p.interpret}, p.plan, p.limits)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", p.name, err)
					}
					h.dense = p.dense
					return h, nil
				},
				Want: map[string]Counts{"legacy": legacyCounts},
			})
		})
	}
}
