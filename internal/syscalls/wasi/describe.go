package wasi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/wasm"
)

//go:generate go test -count=1 -run TestPage . -update

// A Description is what people are told of a call. Its JSON is what they see.
type Description struct {
	Name    string   `json:"name"`
	Modules []string `json:"modules"` // that it can be imported from
	Params  []string `json:"params"`
	Results []string `json:"results"`
	Level   string   `json:"level"`           // full, partial or none
	Note    string   `json:"note,omitempty"`  // what is missing, or else to be known
	Saved   string   `json:"saved,omitempty"` // what becomes of it in a checkpoint; "": it is never under way in one
}

// Signature is its type as text: (i32 i64) -> i32.
func (d *Description) Signature() string {
	results := strings.Join(d.Results, " ")
	return "(" + strings.Join(d.Params, " ") + ") -> " + cmp.Or(results, "none")
}

// Describe tells of all calls, by their modules and names.
func Describe() []Description {
	by := make(map[string]*Description)
	for _, c := range kernel.NewCallTable(Calls(Options{})).All() {
		d := describe(c)
		key := d.Name + d.Signature() + d.Level + d.Note + d.Saved
		if by[key] == nil {
			by[key] = &d
			continue
		}
		by[key].Modules = append(by[key].Modules, c.Module)
	}
	out := make([]Description, 0, len(by))
	for _, d := range by {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Description) int {
		return cmp.Or(slices.Compare(b.Modules, a.Modules), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func describe(c *kernel.Call) Description {
	return Description{
		Name: c.Name, Modules: []string{c.Module}, Params: typeNames(c.Params), Results: typeNames(c.Results),
		Level: c.Level.String(), Note: c.Note, Saved: c.Saved,
	}
}

func typeNames(types []wasm.ValType) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = t.String()
	}
	return out
}

// pageHead is what the page says before its tables.
const pageHead = `# System calls

What programs can import. This page is made from the table in the code
(go generate ./internal/syscalls/wasi), as is what ` + "`stasis syscalls`" + ` prints.

*full*: as it is specified, for all that a system has. *partial*: the note says what is
missing. *none*: it answers ENOTSUP. *In a checkpoint* is what becomes of a call that is
under way then; those without an entry do not wait, so they never are. Another import
than these is refused before a program is started: doc/unsupported.md. The calls of
stasis_1 have a page of their own: doc/stasis_1.md.
`

// Page is doc/syscalls.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	last := ""
	for _, d := range Describe() {
		if section := strings.Join(d.Modules, ", "); section != last {
			last = section
			fmt.Fprintf(&b, "\n## %s\n\n| call | type | level | in a checkpoint | note |\n|---|---|---|---|---|\n", section)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", d.Name, d.Signature(), d.Level, d.Saved, d.Note)
	}
	return b.String()
}
