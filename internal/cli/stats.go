package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
)

// A statsRow is what stats says of a system.
type statsRow struct {
	Name        string        `json:"name"`
	State       stasis.State  `json:"state"`
	CPUPercent  float64       `json:"cpu_percent"`      // of one CPU, by the guest, since the last sample
	HostPercent float64       `json:"host_cpu_percent"` // by the host process
	CPU         time.Duration `json:"cpu_ns"`
	HostCPU     time.Duration `json:"host_cpu_ns"`
	Memory      int64         `json:"memory_bytes"`
	MemoryLimit int64         `json:"memory_limit_bytes,omitempty"`
	RSS         int64         `json:"rss_bytes"`
	Tasks       int32         `json:"tasks"`
	Files       int32         `json:"open_files"`
	Time        time.Time     `json:"time"` // when it was taken
}

const (
	statsPeriod = time.Second
	statsFirst  = 200 * time.Millisecond // between the two samples that a rate takes
)

func statsCommand() *cobra.Command {
	var all, noStream bool
	var format string
	c := &cobra.Command{
		Use:   "stats [flags] [NAME...]",
		Short: "Show what systems use: CPU, memory, tasks",
		Long: `Show what systems use, anew each second: all that run, or those that are named.
CPU is the guest's time as a share of one CPU; HOST CPU is that of its whole
process. MEM is the guest's memory, RSS the most that its process had of the
host's.`,
		Example: `  stasis stats
  stasis stats --no-stream --format '{{.Name}} {{.CPUPercent}}' job`,
		Args:              arguments(0, -1),
		ValidArgsFunction: systemNames(-1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			for _, name := range args {
				if _, err := open(cmd.Context(), "stats", name); err != nil {
					return err
				}
			}
			st := sampler{names: args, all: all || len(args) > 0}
			if err := st.sample(cmd.Context()); err != nil {
				return err
			}
			for wait := statsFirst; ; wait = statsPeriod {
				time.Sleep(wait)
				if err := st.sample(cmd.Context()); err != nil {
					return err
				}
				if err := st.print(cmd, o, !noStream); err != nil || noStream {
					return err
				}
			}
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "show systems that do not run, too")
	c.Flags().BoolVar(&noStream, "no-stream", false, "show it once")
	addFormat(c, &format, formatUsage)
	return c
}

// A sampler takes samples of systems, and compares each with the one before.
type sampler struct {
	names []string // those to sample; none is all
	all   bool
	rows  []statsRow
	last  map[string]*stasis.Status // by id
}

func (s *sampler) systems(ctx context.Context) (list []*stasis.System, err error) {
	if len(s.names) == 0 {
		return host.List(ctx, stasis.Query{Running: !s.all})
	}
	for _, name := range s.names {
		sys, err := host.Open(ctx, name)
		if stasis.KindOf(err) == stasis.NotFound {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, sys)
	}
	return list, nil
}

func (s *sampler) sample(ctx context.Context) error {
	systems, err := s.systems(ctx)
	if err != nil {
		return as("stats", err)
	}
	s.rows = s.rows[:0]
	last := make(map[string]*stasis.Status)
	for _, p := range properties(ctx, systems) {
		if p == nil || p.Status == nil && !s.all {
			continue
		}
		s.rows = append(s.rows, newStatsRow(p, s.last[p.ID]))
		last[p.ID] = p.Status
	}
	s.last = last
	return nil
}

func newStatsRow(p *stasis.Properties, last *stasis.Status) statsRow {
	r := statsRow{Name: p.Name, State: p.State, MemoryLimit: p.Spec.Memory, Time: time.Now()}
	now := p.Status
	if now == nil {
		return r
	}
	r.CPU, r.HostCPU = time.Duration(now.CPU), time.Duration(now.HostCPU)
	r.Memory, r.RSS, r.Tasks, r.Files, r.Time = now.Memory, now.RSS, now.Tasks, now.OpenFDs, time.Unix(0, now.Time)
	if last != nil && now.Time > last.Time {
		percent := func(a, b int64) float64 {
			p := 100 * float64(a-b) / float64(now.Time-last.Time)
			return max(0, min(p, float64(100*runtime.NumCPU()))) // samples are not taken at one instant
		}
		r.CPUPercent, r.HostPercent = percent(now.CPU, last.CPU), percent(now.HostCPU, last.HostCPU)
	}
	return r
}

func (r *statsRow) cells() []string {
	if !r.State.Running() {
		return []string{r.Name, "--", "-- / --", "--", "--", "--"}
	}
	limit := "--"
	if r.MemoryLimit > 0 {
		limit = sizeText(r.MemoryLimit)
	}
	return []string{
		r.Name, fmt.Sprintf("%.2f%%", r.CPUPercent), sizeText(r.Memory) + " / " + limit, sizeText(r.RSS),
		fmt.Sprintf("%.2f%%", r.HostPercent), strconv.Itoa(int(r.Tasks)),
	}
}

// print prints a sample, on a terminal in the place of the one before.
func (s *sampler) print(cmd *cobra.Command, o *outputFormat, streams bool) error {
	var out bytes.Buffer
	err := printRows(cmd, o, &out, []string{"NAME", "CPU %", "MEM USAGE / LIMIT", "RSS", "HOST CPU", "TASKS"}, s.rows, (*statsRow).cells)
	text := out.Bytes()
	if streams && o.table && hostterm.IsTerminal(1) {
		text = inPlace(text)
	}
	_, writeErr := os.Stdout.Write(text)
	return errors.Join(err, writeErr)
}

// inPlace is a text that takes the place of what is on the terminal.
func inPlace(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	return append(append([]byte("\x1b[H"), text...), "\x1b[J"...)
}
