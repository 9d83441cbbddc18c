package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// bug makes an error, one line, of a panic in our own code. The whole stack is
// printed if STASIS_DEBUG is set.
func bug(p any) error {
	if os.Getenv("STASIS_DEBUG") != "" {
		fmt.Fprintf(os.Stderr, "%v\n%s", p, debug.Stack())
	}
	text := strings.Join(strings.Fields(fmt.Sprint(p)), " ")
	return advise(fmt.Errorf("bug in stasis: %.300s, at %s", text, panicked()), "please report it, with the output under STASIS_DEBUG=1")
}

// panicked is where in our code the panic was raised that is being recovered
// from.
func panicked() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	raised := false
	for {
		f, more := frames.Next()
		if f.Function == "runtime.gopanic" {
			raised = true
		} else if raised && strings.HasPrefix(f.Function, "github.com/stasis-run/") {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if !more {
			return "a place unknown"
		}
	}
}
