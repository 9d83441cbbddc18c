package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

// A psRow is what ps says of a system. The fields' names are those of --format.
type psRow struct {
	Name    string            `json:"name"`
	ID      string            `json:"id"`
	State   stasis.State      `json:"state"`
	Status  string            `json:"status"` // the state, for people
	PID     int               `json:"pid,omitempty"`
	Created time.Time         `json:"created"`
	Started *time.Time        `json:"started,omitempty"`
	CPU     time.Duration     `json:"cpu_ns"`
	Memory  int64             `json:"memory_bytes"`
	Program string            `json:"program"`
	Image   string            `json:"image,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Exit    *int              `json:"exit_code,omitempty"`
}

// psProgram is how many characters of a program's arguments the table shows.
const psProgram = 40

func psCommand() *cobra.Command {
	var all, quiet, noTrunc bool
	var filters []string
	var format string
	c := &cobra.Command{
		Use:   "ps [flags]",
		Short: "List systems",
		Long: `List the systems that run; with --all, also those that were created or have
ended. Filters of one key are alternatives, those of several keys all hold; a
filter by status implies --all.`,
		Example: `  stasis ps -a
  stasis ps --filter label=team=red --format '{{.Name}} {{.State}}'
  stasis ps -aq --filter status=exited`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			f, err := parseFilters(cmd, filters, "name", "id", "label", "status")
			if err != nil {
				return err
			}
			live := !all && len(f["status"]) == 0
			systems, err := host.List(cmd.Context(), stasis.Query{Running: live})
			if err != nil {
				return as("ps", err)
			}
			rows := slices.DeleteFunc(psRows(cmd.Context(), systems), func(r *psRow) bool {
				return r == nil || !f.match(r) || live && !r.State.Running() // it has ended since
			})
			list := make([]psRow, len(rows))
			for i, r := range rows {
				list[i] = *r
			}
			if quiet {
				return printNames(list)
			}
			return printRows(cmd, o, os.Stdout, []string{"NAME", "STATE", "PID", "STARTED", "CPU", "PROGRAM"}, list, func(r *psRow) []string { return r.cells(noTrunc) })
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "list those that do not run, too")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print names only")
	c.Flags().BoolVar(&noTrunc, "no-trunc", false, "print all of a program's arguments")
	c.Flags().StringArrayVarP(&filters, "filter", "f", nil, "list what is like this only: name=PART, id=START, label=KEY[=VALUE] or status=STATE")
	addFormat(c, &format, formatUsage)
	return c
}

func printNames(rows []psRow) error {
	for _, r := range rows {
		if _, err := fmt.Println(r.Name); err != nil {
			return err
		}
	}
	return nil
}

// askers is how many systems are asked at a time.
const askers = 16

// properties asks systems for their properties; those that are gone have none.
func properties(ctx context.Context, systems []*stasis.System) []*stasis.Properties {
	out := make([]*stasis.Properties, len(systems))
	room := make(chan struct{}, askers)
	var wg sync.WaitGroup
	for i, s := range systems {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			if p, err := s.Properties(ctx); err == nil {
				out[i] = &p
			}
		})
	}
	wg.Wait()
	return out
}

// psRows are nil for systems that went while they were listed.
func psRows(ctx context.Context, systems []*stasis.System) []*psRow {
	rows := make([]*psRow, len(systems))
	for i, p := range properties(ctx, systems) {
		if p != nil {
			rows[i] = newPsRow(p)
		}
	}
	return rows
}

func newPsRow(p *stasis.Properties) *psRow {
	r := &psRow{
		Name: p.Name, ID: p.ID, State: p.State, Status: statusText(p), Created: p.Created, Started: p.Started,
		Program: programText(p), Image: p.Spec.Image, Labels: p.Spec.Labels,
	}
	if p.State.Running() {
		r.PID = p.PID
	}
	if p.Status != nil {
		r.CPU, r.Memory = time.Duration(p.Status.CPU), p.Status.Memory
	}
	if p.Exit != nil {
		r.Exit = &p.Exit.Code
	}
	return r
}

func statusText(p *stasis.Properties) string {
	switch {
	case p.State == stasis.StateExited && p.Exit != nil:
		return fmt.Sprintf("exited (%d)", p.Exit.Code)
	case p.State == stasis.StateUnexpected:
		return "ended unexpectedly"
	}
	return string(p.State)
}

// programText is the program and its arguments, as far as that is known.
func programText(p *stasis.Properties) string {
	switch {
	case p.Status != nil && len(p.Status.Args) > 0:
		return strings.Join(p.Status.Args, " ")
	case len(p.Spec.Args) > 0:
		return strings.Join(p.Spec.Args, " ")
	case p.Spec.Image != "":
		return fmt.Sprintf("image %.12s", filepath.Base(p.Spec.Image))
	}
	return filepath.Base(p.Spec.Module)
}

func (r *psRow) cells(whole bool) []string {
	pid, started, cpu, program := "-", "-", "-", r.Program
	if r.PID != 0 {
		pid = strconv.Itoa(r.PID)
	}
	if r.Started != nil {
		started = r.Started.Local().Format(time.DateTime)
	}
	if r.State.Running() {
		cpu = r.CPU.Round(time.Millisecond).String()
	}
	if !whole {
		program = cut(program, psProgram)
	}
	return []string{r.Name, r.Status, pid, started, cpu, oneLine(program)}
}

// oneLine keeps what a guest says of itself from spoiling a table, or a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// filters are conditions by key.
type filters map[string][]string

func parseFilters(c *cobra.Command, list []string, keys ...string) (filters, error) {
	f := make(filters)
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || v == "" || !slices.Contains(keys, k) {
			return nil, fmt.Errorf("%s: filter %q: want KEY=VALUE with a KEY of %s", c.Name(), s, strings.Join(keys, ", "))
		}
		if k == "status" && !slices.Contains(states, stasis.State(v)) {
			return nil, fmt.Errorf("%s: filter %q: there is no such state (there are %v)", c.Name(), s, states)
		}
		f[k] = append(f[k], v)
	}
	return f, nil
}

var states = []stasis.State{
	stasis.StateCreated, stasis.StateStarting, stasis.StateRunning, stasis.StateBlocked, stasis.StateStopped,
	stasis.StatePaused, stasis.StateExited, stasis.StateSaved, stasis.StateUnexpected,
}

// match reports whether a system is what is looked for. Labels must all fit; of
// other keys, one value.
func (f filters) match(r *psRow) bool {
	some := func(key string, fits func(v string) bool) bool {
		return len(f[key]) == 0 || slices.ContainsFunc(f[key], fits)
	}
	for _, l := range f["label"] {
		k, want, valued := strings.Cut(l, "=")
		if got, ok := r.Labels[k]; !ok || valued && got != want {
			return false
		}
	}
	return some("name", func(v string) bool { return strings.Contains(r.Name, v) }) &&
		some("id", func(v string) bool { return strings.HasPrefix(r.ID, v) }) &&
		some("status", func(v string) bool { return string(r.State) == v })
}
