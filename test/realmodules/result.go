// Package realmodules runs programs that nobody here wrote, as registries have
// them: each does a real job, is saved in the middle of it and woken elsewhere,
// again and again, and must print byte for byte what it prints undisturbed (see
// package mainjob). What came of it is kept in testdata/results.json, of which
// doc/modules.md is made:
//
//	make real                                    all of them, an hour
//	go generate ./test/realmodules               the table, from what was recorded
package realmodules

//go:generate go run ./table -o ../../doc/modules.md

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// A Result is what came of one module.
type Result struct {
	Name, About   string
	From          []string // "registry package version"
	Digest        string   // sha256 of the module
	Size          int64    // bytes
	Functions     int
	Features      []string      `json:",omitempty"` // beyond the first version of WebAssembly
	Refused       string        `json:",omitempty"` // the error; "" of one that runs
	Output        int           `json:",omitempty"` // bytes
	CPU           time.Duration `json:",omitempty"` // undisturbed
	Wakes         int           `json:",omitempty"`
	Deepest       int           `json:",omitempty"` // calls at the deepest of the saves
	Memory        int64         `json:",omitempty"` // of the guest at the last save, bytes
	Compile       time.Duration `json:",omitempty"` // pass and compiler
	Plain         time.Duration `json:",omitempty"` // plain wazero; 0 if it refuses the module
	Native, Bare  int64         `json:",omitempty"` // bytes of native code of ours, and of plain wazero's
	Machine, Date string        `json:",omitempty"`
}

// Read reads results.
func Read(path string) ([]Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []Result
	return list, json.Unmarshal(b, &list)
}

// Write writes results, a module a line.
func Write(path string, list []Result) error {
	var lines []string
	for _, r := range list {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		lines = append(lines, string(b))
	}
	return os.WriteFile(path, []byte("[\n"+strings.Join(lines, ",\n")+"\n]\n"), 0o644)
}

// Table is doc/modules.md.
func Table(list []Result) string {
	var b strings.Builder
	b.WriteString(head)
	for _, r := range list {
		from := strings.Join(r.From, ", ")
		if from == "" {
			from = "this repository"
		}
		fmt.Fprintf(&b, "| %s | %s | `%.12s` | %.1f MB | %d | %s | %s | %s | %s |\n", r.Name, from, r.Digest, float64(r.Size)/1e6, r.Functions,
			r.happened(), r.compiled(), r.grown(), seconds(r.CPU))
	}
	b.WriteString("\n")
	for _, r := range list {
		fmt.Fprintf(&b, "- **%s**: %s.", r.Name, r.About)
		if len(r.Features) > 0 {
			fmt.Fprintf(&b, " Uses %s.", strings.Join(r.Features, ", "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

const head = `<!-- Made by go generate ./test/realmodules from testdata/results.json there, which make real writes. -->

# Real modules

Programs that nobody here wrote, run as registries have them or as one builds
them from there. "Woken n times" means: n times saved in the middle of its work,
its process ended (every other time by kill -9) and its file deleted, and woken
by a fresh process on another host; what it printed in all was byte
for byte what it prints undisturbed. Compile times are CPU times of the pass
and the compiler together, with nothing cached, beside those of plain wazero for the module without debug information
(of one run each, on a machine that did other things, too); growth is of native code. Which packages, versions and digests: ` + "`guests/`" + `.

| module | from | sha256 | size | functions | what happened | compile, plain wazero | native code | CPU time of the job |
|---|---|---|---|---|---|---|---|---|
`

func (r *Result) happened() string {
	if r.Refused != "" {
		return "refused: `" + r.Refused + "`"
	}
	return fmt.Sprintf("runs; woken %d times, up to %d calls deep", r.Wakes, r.Deepest)
}

func (r *Result) compiled() string {
	switch {
	case r.Compile == 0:
		return "–"
	case r.Plain == 0:
		return seconds(r.Compile) + ", –"
	}
	return fmt.Sprintf("%s, %s (× %.2f)", seconds(r.Compile), seconds(r.Plain), float64(r.Compile)/float64(r.Plain))
}

func (r *Result) grown() string {
	if r.Native == 0 || r.Bare == 0 {
		return "–"
	}
	return fmt.Sprintf("× %.2f", float64(r.Native)/float64(r.Bare))
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
