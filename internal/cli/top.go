package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
)

// A topRow is what top says of a process. The fields' names are those of --format.
type topRow struct {
	stasis.ProcessInfo
	CPUPercent float64 `json:"cpu_percent"` // of one CPU, since the sample before; without one, since nothing
	Command    string  `json:"command"`
}

func topCommand() *cobra.Command {
	var watch, asJSON, noTrunc bool
	var interval time.Duration
	var format string
	c := &cobra.Command{
		Use:   "top [flags] NAME",
		Short: "Show the processes of a running system",
		Long: `Show the processes of a running system, by their pids in it: once, or with --watch
anew each --interval. CPU is the share of one CPU that each has had in the last
interval, TIME the CPU time that it has had in all.`,
		Example: `  stasis top web
  stasis top -w --interval 5s web
  stasis top --json web`,
		Args:              arguments(1, 1),
		ValidArgsFunction: systemNames(1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				format = "json"
			}
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			if interval < time.Millisecond {
				return fmt.Errorf("top: interval %v: want a time such as 1s", interval)
			}
			s, err := open(cmd.Context(), "top", args[0])
			if err != nil {
				return err
			}
			t := topSampler{system: s, whole: noTrunc}
			if err := t.sample(cmd.Context()); err != nil {
				return err
			}
			first := statsFirst
			if cmd.Flags().Changed("interval") {
				first, watch = interval, true
			}
			for wait := first; ; wait = interval {
				time.Sleep(wait)
				if err := t.sample(cmd.Context()); err != nil {
					return err
				}
				if err := t.print(cmd, o, watch); err != nil || !watch {
					return err
				}
			}
		},
	}
	f := c.Flags()
	f.BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	f.DurationVar(&interval, "interval", time.Second, "how long from one look to the next; implies --watch")
	f.BoolVar(&asJSON, "json", false, "print an object of JSON a line: short for --format json")
	f.BoolVar(&noTrunc, "no-trunc", false, "print all of a process's arguments")
	addFormat(c, &format, formatUsage)
	return c
}

// A topSampler looks at a system's processes, and compares with the look before.
type topSampler struct {
	system *stasis.System
	whole  bool
	rows   []topRow
	all    int
	last   map[int32]int64 // CPU time by pid, in ns
	time   time.Time
}

func (t *topSampler) sample(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := t.system.Processes(ctx)
	if err != nil {
		return as("top", err)
	}
	now := make(map[int32]int64)
	t.rows, t.all = t.rows[:0], p.All
	for _, i := range p.List {
		r := topRow{ProcessInfo: i, Command: strings.Join(i.Args, " ")}
		if passed := p.Time.Sub(t.time); t.last != nil && passed > 0 { // of a new one, all it has had
			percent := 100 * float64(i.CPU-t.last[i.PID]) / float64(passed)
			r.CPUPercent = max(0, min(percent, float64(100*runtime.NumCPU()))) // looks are not taken at one instant
		}
		now[i.PID] = i.CPU
		t.rows = append(t.rows, r)
	}
	t.last, t.time = now, p.Time
	return nil
}

// topCommandWidth is how many characters of a process's arguments the table shows.
const topCommandWidth = 60

func (t *topSampler) cells(r *topRow) []string {
	command := r.Command
	if !t.whole {
		command = cut(command, topCommandWidth)
	}
	return []string{
		strconv.Itoa(int(r.PID)), strconv.Itoa(int(r.PPID)), r.State, fmt.Sprintf("%.1f%%", r.CPUPercent),
		time.Duration(r.CPU).Round(time.Millisecond).String(), oneLine(command),
	}
}

// print prints a look, on a terminal in the place of the one before.
func (t *topSampler) print(cmd *cobra.Command, o *outputFormat, again bool) error {
	var out bytes.Buffer
	err := printRows(cmd, o, &out, []string{"PID", "PPID", "STATE", "CPU", "TIME", "COMMAND"}, t.rows, t.cells)
	if more := t.all - len(t.rows); more > 0 && o.table {
		fmt.Fprintf(&out, "and %d more\n", more)
	}
	text := out.Bytes()
	if again && o.table && hostterm.IsTerminal(1) {
		text = inPlace(text)
	}
	_, writeErr := os.Stdout.Write(text)
	return errors.Join(err, writeErr)
}
