// Package deps holds the test of which way imports point.
package deps

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stasis-run/stasis/"

// root is the name here of the package at the top.
const root = "."

// rules says for each package what it may import of ours, and which third
// parties. A name stands for itself; "NAME/..." for what is below it, too. Tests
// are free to import suites. What is no package here, and not in free, is
// an error: a new package says where it belongs.
var rules = map[string]string{
	// Leaves.
	"internal/abi":         "",
	"internal/version":     "",
	"internal/waiter":      "internal/invariants",
	"internal/ktime":       "internal/invariants",
	"internal/invariants":  "",
	"internal/wasm":        "",
	"internal/memory":      "golang.org/x/sys/unix",
	"internal/protostruct": "google.golang.org/protobuf/encoding/protowire",
	"internal/image":       "golang.org/x/sys/unix", // bytes only: files come through its own interface
	"internal/detachkeys":  "",
	"internal/hostterm":    "golang.org/x/sys/unix",
	"internal/image/oci":   "internal/image github.com/klauspost/compress/...",
	"internal/jail":        "golang.org/x/sys/unix",
	"internal/fault":       "",
	"internal/spec":        "internal/ktime",
	"internal/codecache":   "internal/fault golang.org/x/sys/unix",

	// Modules and engines.
	"internal/instrument":        "internal/wasm",
	"internal/interp":            "internal/wasm",
	"internal/engine":            "internal/wasm",
	"internal/coredump":          "internal/engine internal/wasm",
	"internal/symbols":           "internal/engine internal/wasm",
	"internal/engine/wazero":     "internal/engine internal/instrument internal/interp internal/memory internal/wasm internal/invariants github.com/tetratelabs/wazero/... golang.org/x/sys/unix",
	"internal/engine/enginetest": "internal/engine internal/wasm",

	// Files.
	"internal/vfs":          "internal/abi internal/protostruct internal/waiter",
	"internal/vfs/memfs":    "internal/abi internal/protostruct internal/waiter internal/vfs",
	"internal/vfs/pipefs":   "internal/abi internal/protostruct internal/waiter internal/vfs internal/vfs/ring",
	"internal/vfs/ring":     "",
	"internal/vfs/unixsock": "internal/abi internal/protostruct internal/waiter internal/vfs internal/vfs/ring",
	"internal/vfs/hostfile": "internal/abi internal/protostruct internal/waiter internal/vfs golang.org/x/sys/unix",
	"internal/vfs/hostfs":   "internal/abi internal/protostruct internal/waiter internal/vfs internal/vfs/hostfile golang.org/x/sys/unix",
	"internal/vfs/vfstest":  "internal/abi internal/protostruct internal/waiter internal/vfs",
	"internal/vfs/ttyfs":    "internal/abi internal/protostruct internal/waiter internal/vfs",
	"internal/vfs/eventfd":  "internal/abi internal/protostruct internal/waiter internal/vfs",
	"internal/vfs/pseudofs": "internal/abi internal/protostruct internal/waiter internal/vfs",
	"internal/vfs/devfs":    "internal/abi internal/waiter internal/vfs internal/vfs/pseudofs internal/vfs/ttyfs",
	"internal/vfs/procfs":   "internal/abi internal/vfs internal/vfs/pseudofs",
	"internal/vfs/epoll":    "internal/abi internal/protostruct internal/waiter internal/vfs",
	"internal/archive":      "internal/abi internal/vfs golang.org/x/sys/unix",

	// The kernel knows engines as an interface only, and no system call.
	"internal/kernel":        "internal/abi internal/memory internal/engine internal/ktime internal/waiter internal/vfs internal/wasm internal/invariants",
	"internal/syscalls/wasi": "internal/engine internal/vfs/... internal/abi internal/kernel internal/ktime internal/vfs internal/waiter internal/wasm",
	"internal/checkpoint":    "internal/abi internal/protostruct internal/engine internal/image internal/kernel internal/ktime internal/vfs internal/vfs/devfs internal/vfs/hostfile internal/vfs/memfs internal/vfs/procfs internal/wasm",

	// Systems: what is said to them, where they are kept, and their processes.
	"internal/control": "internal/fault internal/protostruct internal/symbols golang.org/x/sys/unix",
	"internal/store":   "internal/control internal/fault internal/spec golang.org/x/sys/unix",
	"internal/sandbox": "internal/version internal/abi internal/checkpoint internal/control internal/coredump internal/engine/... internal/fault internal/image internal/instrument internal/jail internal/kernel internal/ktime internal/memory internal/spec internal/store internal/symbols internal/syscalls/... internal/vfs/... internal/waiter internal/wasm internal/invariants golang.org/x/sys/unix internal/archive",
	"internal/launch":  "internal/version internal/codecache internal/control internal/fault internal/image internal/instrument internal/jail internal/sandbox internal/spec internal/store golang.org/x/sys/unix",

	// The rim: the package that others import, and our own use of it.
	root:           "internal/version golang.org/x/sys/unix internal/archive internal/codecache internal/control internal/detachkeys internal/fault internal/image internal/image/oci internal/instrument internal/launch internal/sandbox internal/spec internal/store internal/symbols",
	"internal/cli": root + " internal/archive internal/detachkeys internal/hostterm internal/spec internal/vfs/hostfs github.com/spf13/cobra golang.org/x/sys/unix",
	"cmd/stasis":   root + " internal/cli",

	// For tests.
	"internal/faultfs":               "internal/image",
	"internal/protostruct/prototest": "",
	"internal/wasmgen":               "internal/wasm",
	"internal/wasmgen/plain":         "internal/wasmgen github.com/tetratelabs/wazero/...",
}

// free are for tests, measurements and showing, and may import what they like; nothing
// else imports them.
var free = []string{"cmd/demo", "cmd/release", "guests", "internal/deps", "test"}

// suites are imported by tests, and by what is free, only.
var suites = []string{"internal/engine/enginetest", "internal/vfs/vfstest", "internal/faultfs", "internal/protostruct/prototest", "internal/wasmgen"}

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// packages lists the module's packages, for both of the systems that it is
// built for.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// matches reports whether name is in list, or below one of it.
func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return name == l || strings.HasPrefix(name, l+"/") })
}

// may reports whether a rule allows an import.
func may(rule, name string) bool {
	return slices.ContainsFunc(strings.Fields(rule), func(r string) bool {
		below, ok := strings.CutSuffix(r, "/...")
		return name == r || ok && (name == below || strings.HasPrefix(name, below+"/"))
	})
}

// ours cuts the module's path; a name of the standard library becomes "".
func ours(path string) string {
	if path+"/" == module {
		return root
	}
	if name, ok := strings.CutPrefix(path, module); ok {
		return name
	}
	if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
		return path
	}
	return ""
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := ours(p.ImportPath)
		seen[name] = true
		if matches(free, name) {
			continue
		}
		rule, ok := rules[name]
		if !ok {
			t.Errorf("%s: no rule says what it may import", name)
			continue
		}
		for _, path := range p.Imports {
			i := ours(path)
			if i == "" {
				continue
			}
			if matches(suites, i) && !matches(suites, name) || matches(free, i) {
				t.Errorf("%s imports %s, which is for tests", name, i)
			} else if !may(rule, i) {
				t.Errorf("%s imports %s", name, i)
			}
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if i := ours(path); strings.HasPrefix(i, "github.com/spf13/") && name != "internal/cli" {
				t.Errorf("%s: a test imports %s", name, i)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if !seen[name] {
			t.Errorf("%s has a rule and is no package", name)
		}
	}
}

// The rules have no cycle: imports point downwards.
func TestRulesPointDown(t *testing.T) {
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(name string, from []string)
	visit = func(name string, from []string) {
		switch state[name] {
		case 1:
			t.Fatalf("a cycle: %s", strings.Join(append(from, name), " imports "))
		case 2:
			return
		}
		state[name] = 1
		for other := range rules {
			if other != name && may(rules[name], other) {
				visit(other, append(from, name))
			}
		}
		state[name] = 2
	}
	for name := range rules {
		visit(name, nil)
	}
}
