package cli

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func logsCommand() *cobra.Command {
	var o stasis.LogOptions
	var tail, since string
	var stamps bool
	c := &cobra.Command{
		Use:   "logs [flags] NAME",
		Short: "Print what a system has written",
		Long: `Print the output of a system's latest run, as far as it was kept (--log-limit of
run): what it wrote to stdout to stdout, and what it wrote to stderr to stderr.`,
		Example: `  stasis logs -f --tail 20 job
  stasis logs -t --since 10m job
  stasis logs --since 2026-01-02T15:04:05Z job`,
		Args:              arguments(1, 1),
		ValidArgsFunction: systemNames(1, nil),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Tail, err = parseTail(tail); err != nil {
				return err
			}
			if o.Since, err = parseSince(since); err != nil {
				return err
			}
			s, err := open(cmd.Context(), "logs", args[0])
			if err != nil {
				return err
			}
			p := logPrinter{stamps: stamps}
			return as("logs", s.Logs(cmd.Context(), o, p.show))
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on until the system has ended")
	f.StringVarP(&tail, "tail", "n", "all", "print the last lines only: a number, or all")
	f.StringVar(&since, "since", "", "print what is not older: a time such as 2026-01-02T15:04:05Z, or a duration such as 10m")
	f.BoolVarP(&stamps, "timestamps", "t", false, "begin each line with its time")
	return c
}

func parseTail(s string) (int, error) {
	if s == "all" || s == "-1" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("logs: tail %q: want a number of lines, or all", s)
	}
	return n, nil
}

// sinceLayouts are the ways to write a time; without a zone it is the host's.
var sinceLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly}

// parseSince reads a time, a number of seconds since 1970, or how long ago.
func parseSince(s string) (t time.Time, err error) {
	if s == "" {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1<<33 {
		return time.Unix(0, int64(n*1e9)), nil
	}
	for _, layout := range sinceLayouts {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return t, fmt.Errorf("logs: since %q: want a time such as 2026-01-02T15:04:05Z, or a duration such as 10m", s)
}

// stampLayout has a fixed width: lines stay aligned.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// A logPrinter prints records where the guest wrote them.
type logPrinter struct {
	stamps bool
	inside [2]bool // a line of stdout, of stderr, has begun
}

func (p *logPrinter) show(r stasis.Record) error {
	i, to := 0, os.Stdout
	if r.Stream == "stderr" {
		i, to = 1, os.Stderr
	}
	b := r.Data
	if p.stamps {
		b = nil
		for line := range bytes.Lines(r.Data) {
			if !p.inside[i] {
				b = append(r.Time.UTC().AppendFormat(b, stampLayout), ' ')
			}
			b = append(b, line...)
			p.inside[i] = !bytes.HasSuffix(line, []byte("\n"))
		}
	}
	_, err := to.Write(b)
	return err
}
