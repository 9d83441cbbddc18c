package wasm_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/wasm"
)

// wazeroDir is where the go command keeps the source of wazero, whose tests
// come with the modules of the specification's test suite.
var wazeroDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := strings.TrimSpace(string(out))
	if err == nil && dir == "" {
		err = errors.New("go list: no directory")
	}
	return dir, err
})

// needWazeroDir returns wazeroDir, or skips the test.
func needWazeroDir(t testing.TB) string {
	t.Helper()
	dir, err := wazeroDir()
	if err != nil {
		t.Skipf("the source of wazero is not in the module cache: %v", err)
	}
	return dir
}

const allFeatures = api.CoreFeaturesV2 |
	experimental.CoreFeaturesThreads |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesTypedFunctionReferences

// compile is what wazero says of a module with all features on.
func compile(b []byte) error {
	ctx := context.Background()
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures)
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	defer rt.Close(ctx)
	_, err := rt.CompileModule(ctx, b)
	return err
}

// check is what we say of a module.
func check(b []byte) error {
	m, err := wasm.Decode(b)
	if err != nil {
		return err
	}
	return wasm.Validate(m)
}

// suites are the directories of tests, with what each has at least.
var suites = map[string]int{
	"v1":                        2500,
	"v2":                        4500,
	"threads":                   50,
	"tail-call":                 25,
	"extended-const":            50,
	"exception-handling":        25,
	"typed-function-references": 500,
}

// Why a module is not treated as its test, or wazero, has it.
const (
	multiValue   = "valid since multi-value: more than one result"
	multiTable   = "valid since reference types: more than one table"
	bottomLabels = "valid since reference types: the labels of br_table need not be of one type where the stack is unknown"
	anyGlobal    = "valid since version 3: constant expressions may use globals that the module defines"
	emptyName    = "wazero wants modules that are imported from to have a name; the specification does not"
	mutable      = "wazero lets constant expressions read mutable globals; the specification does not"
)

// notAsTest has the modules that we accept although a test of an older
// version of the specification wants them refused.
var notAsTest = map[string]string{
	"v1/func.20.wasm":              multiValue,
	"v1/func.21.wasm":              multiValue,
	"v1/type.3.wasm":               multiValue,
	"v1/type.4.wasm":               multiValue,
	"v1/imports.47.wasm":           multiTable,
	"v1/imports.48.wasm":           multiTable,
	"v1/imports.49.wasm":           multiTable,
	"v1/unreached-invalid.87.wasm": bottomLabels,
	"v2/data.9.wasm":               anyGlobal,
	"v2/data.10.wasm":              anyGlobal,
	"v2/elem.10.wasm":              anyGlobal,
	"v2/elem.11.wasm":              anyGlobal,
	"v2/global.18.wasm":            anyGlobal,
	"v2/global.19.wasm":            anyGlobal,
}

// notAsWazero has the modules on which wazero disagrees with us.
var notAsWazero = map[string]string{
	"v1/imports.47.wasm":                     emptyName,
	"v1/imports.48.wasm":                     emptyName,
	"v2/data.9.wasm":                         anyGlobal, // wazero has it for element segments only
	"v2/data.10.wasm":                        anyGlobal,
	"v2/global.18.wasm":                      anyGlobal,
	"v2/global.19.wasm":                      anyGlobal,
	"v2/data.57.wasm":                        mutable,
	"v2/data.60.wasm":                        mutable,
	"v2/elem.47.wasm":                        mutable,
	"v2/elem.50.wasm":                        mutable,
	"v2/global.22.wasm":                      mutable,
	"extended-const/global.19.wasm":          mutable,
	"typed-function-references/elem.86.wasm": mutable,
	"typed-function-references/elem.89.wasm": mutable,
}

// A command is one line of a test script.
type command struct {
	Type     string
	Line     int
	Filename string
	Text     string
}

// readScript returns the commands of a script that have a binary module.
func readScript(t *testing.T, file string) []command {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []command }
	if err := json.Unmarshal(raw, &script); err != nil {
		t.Fatal(err)
	}
	var out []command
	for _, c := range script.Commands {
		if strings.HasSuffix(c.Filename, ".wasm") {
			out = append(out, c)
		}
	}
	return out
}

// Every module of the specification's tests is accepted or refused as its
// test has it, and as wazero does.
func TestSpec(t *testing.T) {
	dir := filepath.Join(needWazeroDir(t), "internal", "integration_test", "spectest")
	for suite, want := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			scripts, err := filepath.Glob(filepath.Join(dir, suite, "testdata", "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, script := range scripts {
				for _, c := range readScript(t, script) {
					testSpecModule(t, suite, filepath.Dir(script), c)
					n++
				}
			}
			if n < want {
				t.Errorf("%d modules, want at least %d", n, want)
			}
		})
	}
}

func testSpecModule(t *testing.T, suite, dir string, c command) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, c.Filename))
	if err != nil {
		t.Fatal(err)
	}
	name := suite + "/" + c.Filename
	ours, theirs := check(b), compile(b)
	want := c.Type != "assert_invalid" && c.Type != "assert_malformed"
	if _, known := notAsTest[name]; ((ours == nil) != want) != known {
		t.Errorf("%s: line %d: %s %q: got %v", name, c.Line, c.Type, c.Text, ours)
	}
	if _, known := notAsWazero[name]; ((ours == nil) != (theirs == nil)) != known {
		t.Errorf("%s: line %d: %s %q: got %v, wazero says %v", name, c.Line, c.Type, c.Text, ours, theirs)
	}
}
