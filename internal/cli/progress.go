package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/hostterm"
)

// newProgress makes what shows progress in a mode.
func newProgress(mode string) (func(what string) func(), error) {
	switch mode {
	case "auto":
		if hostterm.IsTerminal(2) {
			return (&spinner{w: os.Stderr, delay: spinnerDelay, period: spinnerPeriod}).begin, nil
		}
		return noProgress, nil
	case "plain":
		return plainProgress(os.Stderr), nil
	case "json":
		return jsonProgress(os.Stderr), nil
	case "none":
		return noProgress, nil
	}
	return nil, fmt.Errorf("progress %q: want auto, plain, json or none", mode)
}

func noProgress(string) func() { return func() {} }

func plainProgress(w io.Writer) func(string) func() {
	return func(what string) func() {
		begin := time.Now()
		fmt.Fprintf(w, "stasis: %s\n", what)
		return func() { fmt.Fprintf(w, "stasis: %s: done in %v\n", what, time.Since(begin).Round(time.Millisecond)) }
	}
}

// A progressEvent is a line of --progress json.
type progressEvent struct {
	Time    time.Time `json:"time"`
	What    string    `json:"what"`
	Event   string    `json:"event"`             // begin, end
	Seconds float64   `json:"seconds,omitempty"` // that it took
}

func jsonProgress(w io.Writer) func(string) func() {
	tell := func(e progressEvent) { _ = json.NewEncoder(w).Encode(e) } // to stderr: there is nobody to tell
	return func(what string) func() {
		begin := time.Now()
		tell(progressEvent{Time: begin, What: what, Event: "begin"})
		return func() {
			now := time.Now()
			tell(progressEvent{Time: now, What: what, Event: "end", Seconds: now.Sub(begin).Seconds()})
		}
	}
}

const (
	spinnerDelay  = 500 * time.Millisecond // what is done sooner is not worth a line
	spinnerPeriod = 100 * time.Millisecond
)

// A spinner rewrites one line of a terminal as long as something goes on.
type spinner struct {
	w             io.Writer
	delay, period time.Duration
	mu            sync.Mutex // one at a time
}

func (s *spinner) begin(what string) (done func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		s.run(what, quit)
	}()
	var once sync.Once
	return func() {
		once.Do(func() { close(quit) })
		<-gone
	}
}

func (s *spinner) run(what string, quit <-chan struct{}) {
	begin := time.Now()
	select {
	case <-quit:
		return
	case <-time.After(s.delay):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; ; i++ {
		fmt.Fprintf(s.w, "\r%c %s, %d s\x1b[K", `|/-\`[i%4], what, time.Since(begin)/time.Second)
		select {
		case <-quit:
			fmt.Fprint(s.w, "\r\x1b[K")
			return
		case <-time.After(s.period):
		}
	}
}
