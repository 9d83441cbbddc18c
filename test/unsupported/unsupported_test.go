package unsupported_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/test/unsupported"
)

var update = flag.Bool("update", false, "write doc/unsupported.md")

const document = "../../doc/unsupported.md"

const head = `<!-- Made by: go test ./test/unsupported -update -->

# What is not supported

What Stasis does not run, and what it says of it. All of it is found before
anything runs, and before anything is compiled but where the table says
otherwise; ` + "`test/unsupported`" + ` has a module for each line.
System calls that answer ENOTSUP, and what is missing of others: doc/syscalls.md.

| what | the error |
|---|---|
`

// Each thing that is not supported is refused with one line, which says what to
// do, before anything runs; and doc/unsupported.md has just these lines.
func TestUnsupported(t *testing.T) {
	dir := t.TempDir()
	stasis := filepath.Join(dir, "stasis")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", stasis, "../../cmd/stasis").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var doc strings.Builder
	doc.WriteString(head)
	for _, c := range unsupported.Cases() {
		fmt.Fprintf(&doc, "| %s | %s |\n", c.What, refusal(t, stasis, dir, &c))
	}
	if *update {
		if err := os.WriteFile(document, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	have, said := strings.Split(string(want), "\n"), strings.Split(doc.String(), "\n")
	for i := range max(len(have), len(said)) {
		line := func(s []string) string {
			if i < len(s) {
				return s[i]
			}
			return "(end)"
		}
		if line(have) != line(said) {
			t.Fatalf("doc/unsupported.md, line %d:\nhas  %s\nsaid %s\n(go test ./test/unsupported -update)", i+1, line(have), line(said))
		}
	}
}

// refusal runs a module that is refused and returns the error.
func refusal(t *testing.T, stasis, dir string, c *unsupported.Case) string {
	t.Helper()
	file := c.Name + ".wasm"
	if err := os.WriteFile(filepath.Join(dir, file), c.Module, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, stasis, "run", "--rm", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STASIS_HOME="+filepath.Join(dir, "home"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%s: it ran, and printed %q", c.Name, out)
		return ""
	}
	if code := cmd.ProcessState.ExitCode(); code != 126 {
		t.Errorf("%s: exit code %d, want 126: %s", c.Name, code, out)
	}
	text, ok := strings.CutPrefix(strings.TrimSuffix(string(out), "\n"), "stasis: run "+file+": ")
	if !ok || strings.Contains(text, "\n") || !strings.HasSuffix(text, ")") {
		t.Errorf("%s: it says %q, want one line that ends in what to do, in parentheses", c.Name, out)
	}
	return text
}
