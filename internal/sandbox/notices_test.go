package sandbox

import (
	"log/slog"
	"strings"
	"testing"
)

func TestNotices(t *testing.T) {
	var got []string
	log := newNotices("s", func(text string) { got = append(got, text) })
	log.Debug("nobody wants to know")
	log.Warn("exec of x failed", "process", 3, "errno", "no exec", "err", "a\x1b[2J\x00b")
	log.Warn("a process has trapped", "process", 4, "err", "unreachable", "stack", "  0: f\n  1: g\n")
	want := []string{"stasis: s: process 3: exec of x failed: a?[2J?b\n", "stasis: s: process 4: a process has trapped: unreachable\n  0: f\n  1: g\n"}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %q, want %q", got, want)
	}
	log.Warn(strings.Repeat("x", 1<<20))
	if n := len(got[2]); n > maxNoticeText+100 {
		t.Errorf("a notice of %d bytes", n)
	}
	for range 2 * maxNotices {
		log.Warn("again")
	}
	if n := len(got); n != maxNotices+1 || got[n-1] != "stasis: s: more is not told\n" {
		t.Errorf("%d notices, the last %q", n, got[n-1])
	}
	if log.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("what is no warning is shown")
	}
}
