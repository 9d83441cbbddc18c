package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/kernel"
)

// Exit codes of a system that was not ended by its program.
const (
	codeFailed  = 125 // stasis failed
	codeTrap    = 134 // as abort(3) gives: 128 + SIGABRT
	codeTimeout = 124 // as timeout(1) gives
)

// RunHere runs a system in this process, in the foreground: its output goes to
// this process's, signals that come are the guest's. ready, if not nil, is
// called when the system is about to run. The exit is written to the entry,
// whose lock stays the caller's; an error says that the system never ran, or
// that stasis failed. A signal that comes before the system runs removes the
// entry and ends the process.
func RunHere(ctx context.Context, e *Entry, c Config, info Info, ready func()) (x Exit, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = bug(p)
		}
	}()
	signal.Ignore(unix.SIGPIPE, unix.SIGXFSZ) // the guest gets EPIPE and EFBIG
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)
	booted := dieBySignal(e, signals)
	s, err := Boot(ctx, c)
	if err != nil {
		booted()
		return Exit{}, err
	}
	info.PID, info.Started = os.Getpid(), time.Now()
	if info.Args == nil {
		info.Args = s.Kernel().Init().Args()
	}
	ctl, err := serve(e, s)
	if err == nil {
		if err = e.SetInfo(info); err != nil {
			ctl.close()
		}
	}
	booted()
	if err != nil {
		return Exit{}, errors.Join(err, s.Close())
	}
	kernel.OwnCollector()
	if ready != nil {
		ready()
	}
	x = watch(ctx, s, c, signals)
	ctl.close()
	if dir := s.Saved(); dir != "" && x.Signal == kernel.SIGKILL {
		x = Exit{Checkpoint: dir}
	}
	x.Ended = time.Now()
	return x, errors.Join(s.Close(), e.SetExit(x))
}

// dieBySignal has signals end the process until the function it returns is
// called: compiling cannot be interrupted, and there is no guest yet.
func dieBySignal(e *Entry, signals <-chan os.Signal) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case sig := <-signals:
			_ = e.Remove() // else whoever looks next finds a system that ended
			os.Exit(128 + int(sig.(unix.Signal)))
		case <-quit:
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// watch runs the system, hands signals on to it, and ends it when its time is
// up.
func watch(ctx context.Context, s *System, c Config, signals <-chan os.Signal) Exit {
	timedOut := false
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	done := make(chan struct{})
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		for {
			select {
			case sig := <-signals:
				_ = s.Signal(int32(sig.(unix.Signal))) // a valid signal
			case <-ctx.Done():
				timedOut = true
				_ = s.Signal(kernel.SIGKILL) // the same
				<-done
				return
			case <-done:
				return
			}
		}
	}()
	st, err := s.Run(context.WithoutCancel(ctx))
	close(done)
	<-forwarded
	return s.exit(st, err, timedOut, c)
}

// exit tells the user how the system ended, and the shell.
func (s *System) exit(st kernel.ExitStatus, err error, timedOut bool, c Config) Exit {
	who := c.Name
	if c.File != "" && !c.Named {
		who = filepath.Base(c.File) // nobody knows a random name
	}
	switch {
	case err != nil:
		err = Advise(err)
		fmt.Fprintf(os.Stderr, "stasis: %s: %v\n", who, err)
		return Exit{Code: codeFailed, Error: err.Error()}
	case timedOut && st.Signal == kernel.SIGKILL:
		fmt.Fprintf(os.Stderr, "stasis: %s: ended after %v (--timeout)\n", who, c.Timeout)
		return Exit{Code: codeTimeout, Signal: st.Signal}
	case st.Trap != nil:
		fmt.Fprintf(os.Stderr, "stasis: %s: trap: %s\n%s", who, st.Trap.Message, st.Trap.Stack())
		return Exit{Code: codeTrap, Trap: st.Trap.Message}
	case st.Signal != 0:
		return Exit{Code: 128 + int(st.Signal), Signal: st.Signal}
	}
	if _, err := io.WriteString(os.Stdout, s.Results(st.Results)); err != nil {
		fmt.Fprintf(os.Stderr, "stasis: %s: results: stdout: %v\n", who, cause(err))
		return Exit{Code: codeFailed, Error: "results: " + err.Error()}
	}
	return Exit{Code: int(uint8(st.Code))}
}
