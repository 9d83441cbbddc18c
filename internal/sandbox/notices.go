package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
)

// notices tell people what the kernel cannot tell a guest: why a program could not be
// executed, or how a process trapped whose parent learns a signal only. They are lines
// of the system's standard error and of its log. A guest can cause any number of them,
// and has a say in what they say: they are bounded, and cleaned. It is a slog.Handler.
type notices struct {
	name string            // of the system
	show func(text string) // shows a line or more
	told *atomic.Int32
}

// Bounds of notices.
const (
	maxNotices    = 100
	maxNoticeText = 4 << 10 // bytes of one
)

// newNotices makes a log whose warnings are shown.
func newNotices(name string, show func(text string)) *slog.Logger {
	return slog.New(notices{name, show, new(atomic.Int32)})
}

// Enabled implements slog.Handler.
func (n notices) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// WithAttrs implements slog.Handler: the kernel's records have all that they need.
func (n notices) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n notices) WithGroup(string) slog.Handler { return n }

// Handle implements slog.Handler.
func (n notices) Handle(_ context.Context, r slog.Record) error {
	switch told := n.told.Add(1); {
	case told > maxNotices+1:
	case told > maxNotices:
		n.show("stasis: " + n.name + ": more is not told\n")
	default:
		text := noticeText(&r)
		n.show("stasis: " + n.name + ": " + fault.Clean(text[:min(len(text), maxNoticeText)]) + "\n")
	}
	return nil
}

// noticeText is a record as people read it: "process 3: exec of x failed: why", and
// what is long below.
func noticeText(r *slog.Record) string {
	var process, err, stack string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "process":
			process = fmt.Sprintf("process %v: ", a.Value)
		case "err":
			err = fmt.Sprintf(": %v", a.Value)
		case "stack":
			stack = "\n" + strings.TrimRight(a.Value.String(), "\n")
		}
		return true
	})
	return process + r.Message + err + stack
}

// notice shows a notice: in the log, and where standard error is, but on the terminal
// of a guest, whose screen it would spoil.
func (c *console) notice(text string) {
	c.log.write("stderr", []byte(text))
	switch {
	case c.direct[2] != nil:
		_, _ = c.direct[2].WriteString(text) // who has closed it does not want it
	case c.tty == nil:
		c.send(control.Stream{Stderr: []byte(text)})
	}
}
