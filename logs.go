package stasis

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
)

// LogOptions say what Logs shows.
type LogOptions struct {
	Follow bool      // go on until the system has ended
	Tail   int       // only the last lines; below zero all
	Since  time.Time // only what came at this time or later
}

// Logs calls show with the output of the latest run, as far as it was kept,
// oldest first, until it has shown all, show fails, or ctx is done.
func (s *System) Logs(ctx context.Context, o LogOptions, show func(Record) error) error {
	if err := s.check(); err != nil {
		return s.fail("logs", err)
	}
	if s.embedded != nil {
		return s.fail("logs", fault.New(fault.Unsupported, "a system in process keeps no log"))
	}
	return s.fail("logs", s.logs(ctx, o, show))
}

func (s *System) logs(ctx context.Context, o LogOptions, show func(Record) error) error {
	r := logReader{sys: s}
	running := s.entry.Running() // looked at first: what is read then is all
	records, err := r.read()
	if err != nil {
		return err
	}
	records = slices.DeleteFunc(records, func(rec Record) bool { return rec.Time.Before(o.Since) })
	if o.Tail >= 0 {
		records = tail(records, o.Tail)
	}
	for {
		for _, rec := range records {
			if err := show(rec); err != nil {
				return err
			}
		}
		if !o.Follow || !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(logPoll):
		}
		running = s.entry.Running()
		if records, err = r.read(); err != nil {
			return err
		}
	}
}

// logPoll is how often a log is looked at that is followed.
const logPoll = 50 * time.Millisecond

// A logReader reads the two files of a log, which take turns.
type logReader struct {
	sys  *System
	last time.Time // of the latest record that was read
	same int       // how many records of that time were read
}

// read returns the records that are new.
func (r *logReader) read() ([]Record, error) {
	var all []Record
	for _, name := range []string{"log", "log.1"} {
		f, err := r.sys.entry.File(name, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(f, r.limit()))
		f.Close()
		if err != nil {
			return nil, err
		}
		records, _ := sandbox.ParseLog(b)
		all = append(all, records...)
	}
	slices.SortStableFunc(all, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return r.fresh(all), nil
}

// limit bounds what is read of a file: its writer may have been subverted.
func (r *logReader) limit() int64 {
	if n := r.sys.opts.LogLimit; n > 0 {
		return n + 1<<20
	}
	return spec.DefaultLogLimit + 1<<20
}

// fresh drops what was read before.
func (r *logReader) fresh(all []Record) []Record {
	skip := r.same
	fresh := slices.DeleteFunc(all, func(rec Record) bool {
		if rec.Time.Equal(r.last) && skip > 0 {
			skip--
			return true
		}
		return rec.Time.Before(r.last)
	})
	for _, rec := range fresh {
		if rec.Time.Equal(r.last) {
			r.same++
		} else {
			r.last, r.same = rec.Time, 1
		}
	}
	return fresh
}

// tail cuts records to their last n lines.
func tail(records []Record, n int) []Record {
	if n == 0 {
		return nil
	}
	seen := 0
	for i := len(records) - 1; i >= 0; i-- {
		d := records[i].Data
		for j := len(d) - 1; j >= 0; j-- {
			if d[j] != '\n' || i == len(records)-1 && j == len(d)-1 {
				continue // the last line's end begins no other
			}
			if seen++; seen == n {
				records[i].Data = d[j+1:]
				return records[i:]
			}
		}
	}
	return records
}
