package wasi

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
)

// Where the calls of stasis_1 are described, and declared for C.
const (
	stasisPage   = "../../../doc/stasis_1.md"
	stasisHeader = "../../../guests/lib/stasis.h"
)

// A section is what the page says of a call.
type section struct {
	name, signature, declaration string
	said                         map[string]string // Errors, Waits and Checkpoint
}

var (
	sectionHead = regexp.MustCompile("(?m)^### (\\w+)\n\n`([^`]+)`, .*\n\n```c\n(.*)\n```\n")
	headerCall  = regexp.MustCompile(`(?m)^STASIS\((\w+)\) (.*)$`)
	headerType  = regexp.MustCompile(`(?ms)^struct \w+ \{.*?^\};`)
	errnoName   = regexp.MustCompile(`\bE[A-Z0-9]{2,}\b`)
)

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sections(page string) (out []section) {
	at := sectionHead.FindAllStringSubmatchIndex(page, -1)
	for i, m := range at {
		end := len(page)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		s := section{page[m[2]:m[3]], page[m[4]:m[5]], page[m[6]:m[7]], make(map[string]string)}
		for _, item := range strings.Split(page[m[1]:end], "\n- ")[1:] {
			item, _, _ = strings.Cut(item, "\n\n")
			what, said, _ := strings.Cut(item, ": ")
			s.said[what] = strings.Join(strings.Fields(said), " ")
		}
		out = append(out, s)
	}
	return out
}

// TestStasisPage: doc/stasis_1.md has each call of the table once, with its type, the
// header's declaration, and what the table says of checkpoints.
func TestStasisPage(t *testing.T) {
	page, header := readText(t, stasisPage), readText(t, stasisHeader)
	declared := make(map[string]string)
	for _, m := range headerCall.FindAllStringSubmatch(header, -1) {
		declared[m[1]] = m[2]
	}
	there := make(map[string]section)
	for _, s := range sections(page) {
		if there[s.name].name != "" {
			t.Errorf("%s is there twice", s.name)
		}
		there[s.name] = s
	}
	for i := range stasisEntries {
		e := &stasisEntries[i]
		c := e.call(ModuleStasis, &Options{})
		d := describe(&c)
		s := there[e.name]
		if s.signature != d.Signature() || s.declaration != declared[e.name] || s.declaration == "" {
			t.Errorf("%s: the page has type %q and declaration %q, want %q and %q", e.name, s.signature, s.declaration, d.Signature(), declared[e.name])
		}
		s.check(t, e)
		delete(there, e.name)
		delete(declared, e.name)
	}
	for name := range there {
		t.Errorf("%s is on the page, and there is no such call", name)
	}
	for name := range declared {
		t.Errorf("%s is in the header, and there is no such call", name)
	}
}

// check compares what the page says of a call with the table.
func (s *section) check(t *testing.T, e *entry) {
	t.Helper()
	for _, item := range []string{"Errors", "Waits", "Checkpoint"} {
		if s.said[item] == "" {
			t.Errorf("%s: the page says nothing of %s", e.name, item)
		}
	}
	if waits := !strings.HasPrefix(s.said["Waits"], "no"); waits != (e.saved != "") {
		t.Errorf("%s: the page says that it waits: %v, the table what becomes of it then: %q", e.name, waits, e.saved)
	}
	if !strings.HasPrefix(s.said["Checkpoint"], e.saved) {
		t.Errorf("%s: the page says of checkpoints %q, the table %q", e.name, s.said["Checkpoint"], e.saved)
	}
	for _, name := range errnoName.FindAllString(s.said["Errors"], -1) {
		if !slices.ContainsFunc(allErrnos(), func(e abi.Errno) bool { return e.String() == name }) {
			t.Errorf("%s: there is no errno %s", e.name, name)
		}
	}
}

func allErrnos() (out []abi.Errno) {
	for e := abi.Errno(0); !strings.HasPrefix(e.String(), "errno("); e++ {
		out = append(out, e)
	}
	return out
}

// TestStasisLayouts: the page has the header's structures as they are, with their sizes.
func TestStasisLayouts(t *testing.T) {
	page, header := readText(t, stasisPage), readText(t, stasisHeader)
	types := headerType.FindAllString(header, -1)
	if len(types) < 6 {
		t.Fatalf("%d structures in the header", len(types))
	}
	for _, typ := range types {
		name, _, _ := strings.Cut(strings.TrimPrefix(typ, "struct "), " ")
		size := regexp.MustCompile(`STASIS_SIZE\(` + name + `, (\d+)\)`).FindStringSubmatch(header)
		if size == nil || !strings.Contains(page, "```c\n"+typ+"\n```\n\n"+size[1]+" bytes.") {
			t.Errorf("the page does not have struct %s as it is in the header, and its size %v", name, size)
		}
	}
	if n := strings.Count(page, "```c\nstruct "); n != len(types) {
		t.Errorf("the page has %d structures, the header %d", n, len(types))
	}
	for _, name := range regexp.MustCompile(`\bSTASIS_[A-Z_]+\b`).FindAllString(page, -1) {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(header) {
			t.Errorf("the page has %s, the header does not", name)
		}
	}
}
