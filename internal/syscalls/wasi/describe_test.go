package wasi

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
)

var update = flag.Bool("update", false, "write doc/syscalls.md")

const pageFile = "../../../doc/syscalls.md"

// TestPage: doc/syscalls.md is what the table says.
func TestPage(t *testing.T) {
	if *update {
		if err := os.WriteFile(pageFile, []byte(Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Page() {
		t.Error("doc/syscalls.md is not what the table says: go generate ./internal/syscalls/wasi")
	}
}

// TestPageHasAllCalls: each call that is registered is on the page, below the module
// that it is registered in, and nothing else is.
func TestPageHasAllCalls(t *testing.T) {
	b, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	page := make(map[string]string) // module.name: type and level
	var modules []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if list, ok := strings.CutPrefix(line, "## "); ok {
			modules = strings.Split(list, ", ")
			continue
		}
		cells := strings.Split(line, " | ")
		if len(cells) < 4 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range modules {
			name := m + "." + strings.Trim(cells[0], "|` ")
			if page[name] != "" {
				t.Errorf("%s is there twice", name)
			}
			page[name] = strings.Trim(cells[1], "`") + " " + cells[2]
		}
	}
	for _, c := range kernel.NewCallTable(Calls(Options{})).All() {
		d := describe(c)
		name := c.Module + "." + c.Name
		if want := d.Signature() + " " + c.Level.String(); page[name] != want {
			t.Errorf("%s is on the page as %q, want %q", name, page[name], want)
		}
		delete(page, name)
	}
	for name := range page {
		t.Errorf("%s is on the page, and nobody has registered it", name)
	}
}

// TestWASIX: all that programs for WASIX import is there, in both modules.
func TestWASIX(t *testing.T) {
	b, err := os.ReadFile("testdata/wasix.txt")
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]string)
	for _, c := range kernel.NewCallTable(Calls(Options{})).All() {
		there[c.Module+"."+c.Name] = fmt.Sprintf("(%s) -> (%s)", strings.Join(typeNames(c.Params), " "), strings.Join(typeNames(c.Results), " "))
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		name, want, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		n++
		for _, module := range []string{ModuleWASIX, Module} {
			if got := there[module+"."+name]; got != want {
				t.Errorf("%s.%s is %q, want %q", module, name, got, want)
			}
		}
	}
	if n != 91+46+4 {
		t.Errorf("%d calls are listed", n)
	}
}

// TestLevels: what the table says of a call's level is so, as far as that can be
// told from here.
func TestLevels(t *testing.T) {
	at := func(fn func(*call) abi.Errno) uintptr { return reflect.ValueOf(fn).Pointer() }
	for _, e := range slices.Concat(entries, wasixEntries, stasisEntries) {
		if none := at(e.fn) == at(notSupported); none != (e.level == kernel.None) {
			t.Errorf("%s is %v", e.name, e.level)
		}
		if e.level != kernel.Full && e.note == "" {
			t.Errorf("%s is %v, and nobody says why", e.name, e.level)
		}
		if strings.Contains(e.note+e.saved, "|") || strings.Contains(e.note+e.saved, "\n") {
			t.Errorf("%s has a note that spoils a table", e.name)
		}
	}
}
