package cli

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// A slowBuffer tells when it has been written to.
type slowBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer // protected by mu
	written chan struct{}
}

func (s *slowBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.written <- struct{}{}:
	default:
	}
	return s.b.Write(p)
}

// TestSpinner: nothing is shown of what is done soon; else one line, which is
// gone at the end.
func TestSpinner(t *testing.T) {
	out := &slowBuffer{written: make(chan struct{}, 1)}
	soon := &spinner{w: out, delay: time.Hour, period: time.Hour}
	soon.begin("compiling")()
	if out.b.Len() > 0 {
		t.Errorf("shown: %q", out.b.String())
	}
	late := &spinner{w: out, period: time.Hour}
	done := late.begin("compiling")
	<-out.written
	done()
	done()
	if got := out.b.String(); got != "\r| compiling, 0 s\x1b[K\r\x1b[K" {
		t.Errorf("shown: %q", got)
	}
}

func TestProgressModes(t *testing.T) {
	var out strings.Builder
	jsonProgress(&out)("saving")()
	plainProgress(&out)("saving")()
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines: %s", n, out.String())
	}
	if _, err := newProgress("loud"); err == nil {
		t.Error("a mode that there is none of")
	}
}
