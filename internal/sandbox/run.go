package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/kernel"
)

// Exit codes of a system that was not ended by its program.
const (
	codeTrap    = 134 // as abort(3) gives: 128 + SIGABRT
	codeTimeout = 124 // as timeout(1) gives
)

// RunHere runs a system in this process, in the foreground: its output goes to
// this process's, signals that come are the guest's. ready, if not nil, is
// called when the system is about to run. The exit is written to the entry,
// whose lock is then given up; an error says that the system never ran.
func RunHere(ctx context.Context, e *Entry, c Config, info Info, ready func()) (Exit, error) {
	defer e.Release()
	signal.Ignore(unix.SIGPIPE)
	s, err := Boot(ctx, c)
	if err != nil {
		return Exit{}, err
	}
	ctl, err := serve(e, s)
	if err != nil {
		return Exit{}, errors.Join(err, s.Close())
	}
	info.PID, info.Started = os.Getpid(), time.Now()
	if err := e.SetInfo(info); err != nil {
		ctl.close()
		return Exit{}, errors.Join(err, s.Close())
	}
	kernel.OwnCollector()
	if ready != nil {
		ready()
	}
	x := watch(ctx, s, c)
	if dir := ctl.checkpointed(); dir != "" && x.Signal == kernel.SIGKILL {
		x = Exit{Checkpoint: dir}
	}
	x.Ended = time.Now()
	ctl.close()
	return x, errors.Join(s.Close(), e.SetExit(x))
}

// watch runs the system, hands signals on to it, and ends it when its time is
// up.
func watch(ctx context.Context, s *System, c Config) Exit {
	timedOut := false
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	done := make(chan struct{})
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		for {
			select {
			case sig := <-signals:
				if k := s.Kernel(); k != nil {
					_ = k.Init().Signal(int32(sig.(unix.Signal))) // a valid signal
				}
			case <-ctx.Done():
				timedOut = true
				if k := s.Kernel(); k != nil {
					k.Init().Terminate()
				}
				<-done
				return
			case <-done:
				return
			}
		}
	}()
	st, err := s.Run(context.WithoutCancel(ctx))
	signal.Stop(signals)
	close(done)
	<-forwarded
	return s.exit(st, err, timedOut, c)
}

// exit tells the user how the system ended, and the shell.
func (s *System) exit(st kernel.ExitStatus, err error, timedOut bool, c Config) Exit {
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "stasis: %s: %v\n", c.Name, err)
		return Exit{Code: 125, Error: err.Error()}
	case timedOut && st.Signal == kernel.SIGKILL:
		fmt.Fprintf(os.Stderr, "stasis: %s: ended after %v (--timeout)\n", c.Name, c.Timeout)
		return Exit{Code: codeTimeout, Signal: st.Signal}
	case st.Trap != nil:
		fmt.Fprintf(os.Stderr, "stasis: %s: trap: %s\n%s", c.Name, st.Trap.Message, st.Trap.Stack())
		return Exit{Code: codeTrap, Trap: st.Trap.Message}
	case st.Signal != 0:
		return Exit{Code: 128 + int(st.Signal), Signal: st.Signal}
	}
	_, _ = io.WriteString(os.Stdout, s.Results(st.Results))
	return Exit{Code: int(uint8(st.Code))}
}
