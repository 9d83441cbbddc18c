package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands are all of the tree, cobra's own excepted.
func commands(c *cobra.Command) (all []*cobra.Command) {
	all = append(all, c)
	for _, sub := range c.Commands() {
		if sub.Name() != "help" {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

func TestHelp(t *testing.T) {
	for _, c := range commands(NewRoot()) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no Short or no Example", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: a Short ends with a full stop", c.CommandPath())
		}
		if c.HasAvailableLocalFlags() && c.HasParent() && !strings.Contains(c.Use, "[flags]") {
			t.Errorf("%s has flags, and its usage does not say so", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 88 {
				t.Errorf("%s: a line of %d characters: %s", c.CommandPath(), n, line)
			}
		}
	}
}

// TestScriptsUseAllFlags: each flag of each command is in a line of a script that
// runs the command.
func TestScriptsUseAllFlags(t *testing.T) {
	scripts, err := filepath.Glob("../../cmd/stasis/testdata/script/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var lines []string
	for _, s := range scripts {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(b), "\n")...)
	}
	used := func(command, flag string) bool {
		r := regexp.MustCompile(regexp.QuoteMeta(command) + `(\W.*)? ` + flag + `(\W|$)`)
		if flag == "" {
			r = regexp.MustCompile(regexp.QuoteMeta(command) + `(\W|$)`)
		}
		for _, l := range lines {
			if r.MatchString(l) {
				return true
			}
		}
		return false
	}
	for _, c := range commands(NewRoot()) {
		name := c.CommandPath()
		if !used(name, "") {
			t.Errorf("no script runs %s", name)
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			if !used(name, "--"+f.Name) && (f.Shorthand == "" || !used(name, "-[a-zA-Z]*"+f.Shorthand+`[a-zA-Z]*`)) {
				t.Errorf("no script runs %s with --%s", name, f.Name)
			}
		})
	}
}
