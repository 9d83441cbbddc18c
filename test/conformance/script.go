package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A script is one command file as wast2json and wasm-tools write it.
type script struct {
	Source   string    `json:"source_filename"`
	Commands []command `json:"commands"`
}

// A command is one step of a script. Which fields are set depends on Type.
type command struct {
	Type       string  `json:"type"`
	Line       int     `json:"line"`
	Name       string  `json:"name"`        // module, register: the module's name in the script
	Filename   string  `json:"filename"`    // of the module, beside the script
	ModuleType string  `json:"module_type"` // "text" or "binary"
	As         string  `json:"as"`          // register
	Action     action  `json:"action"`
	Expected   []value `json:"expected"`
	Text       string  `json:"text"` // the specification's word for the error
}

// An action is a call of an export or a look at a global.
type action struct {
	Type   string  `json:"type"` // "invoke" or "get"
	Module string  `json:"module"`
	Field  string  `json:"field"`
	Args   []value `json:"args"`
}

// readScript reads one command file.
func readScript(path string) (*script, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s script
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &s, nil
}

// findDir returns where the wazero module keeps its suites. The module cache
// holds the version that go.mod names.
func findDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		return "", fmt.Errorf("find the wazero module: %w", err)
	}
	root := strings.TrimSpace(string(out))
	if root == "" {
		return "", fmt.Errorf("find the wazero module: not in the module cache; run go mod download")
	}
	return filepath.Join(root, "internal", "integration_test", "spectest"), nil
}

// scriptsOf lists the command files of a suite, without their directory.
func scriptsOf(dir, suite string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, suite, "testdata", "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("suite %s: no command files in %s", suite, dir)
	}
	for i, p := range paths {
		paths[i] = filepath.Base(p)
	}
	return paths, nil
}
