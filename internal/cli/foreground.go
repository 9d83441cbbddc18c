package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
)

// terminalSize is the size of our terminal, nil if there is none.
func terminalSize() *stasis.Size {
	ws, err := hostterm.Size(1)
	if err != nil {
		return nil
	}
	return &stasis.Size{Rows: uint32(ws.Rows), Cols: uint32(ws.Cols)}
}

// signals are those that came and nobody has taken yet: from the first Notify on
// until the command ends. To stop in between would lose some, and takes a while.
var signals = make(chan os.Signal, 16)

// forwarded are the signals that a command in the foreground hands on.
var forwarded = []os.Signal{
	unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTSTP, unix.SIGCONT,
}

// forward hands signals on to the guest. A stop from the keyboard stops this
// command, too, so that the shell goes on; continuing it continues the guest.
func forward(signals <-chan os.Signal, to chan<- int32, done <-chan struct{}) {
	for {
		var sig os.Signal
		select {
		case sig = <-signals:
		case <-done:
			return
		}
		select {
		case to <- int32(sig.(unix.Signal)):
		case <-done:
			return
		}
		if sig == unix.SIGTSTP {
			select {
			case to <- 0: // is taken when the one before has been sent
			case <-done:
				return
			}
			_ = unix.Kill(os.Getpid(), unix.SIGSTOP) // ourselves
		}
	}
}

// foreground attaches to a system that was started here, and exits as it does.
func foreground(ctx context.Context, s *stasis.System, o *stasis.Options, stdin bool, keys string) error {
	a := stasis.AttachOptions{DetachKeys: keys}
	if o.TTY {
		a.Stdout, a.Stderr = os.Stdout, os.Stdout
		if stdin {
			a.Stdin = os.Stdin
		}
	}
	restored := func() {
		if o.Image != "" && o.TTY {
			fmt.Fprintf(os.Stderr, "stasis: %s: restored, go on typing\r\n", s.Name())
		}
	}
	stop := keepSnapshots(ctx, s, &o.Spec)
	err := attach(ctx, s, a, o.TTY, restored)
	stop(err)
	if errors.Is(err, stasis.ErrDetached) {
		fmt.Fprintf(os.Stderr, "\nstasis: %s: detached; it runs on (stasis attach %s)\n", s.Name(), s.Name())
		return nil
	}
	if err != nil {
		_ = s.Terminate(ctx) // nobody is there to see it
		return err
	}
	x, err := s.Wait(ctx)
	if o.AutoRemove {
		defer s.Remove(ctx, stasis.RemoveOptions{})
	}
	if err != nil {
		return err
	}
	return tellExit(s.Name(), o, x)
}

// attach attaches this terminal, or these streams, with signals.
func attach(ctx context.Context, s *stasis.System, a stasis.AttachOptions, tty bool, ready func()) error {
	return withTerminal(a, tty, func(a stasis.AttachOptions) error {
		if ready != nil {
			ready()
		}
		return s.Attach(ctx, a)
	})
}

// withTerminal calls do with signals and, with tty, this terminal.
func withTerminal(a stasis.AttachOptions, tty bool, do func(stasis.AttachOptions) error) error {
	done := make(chan struct{})
	defer close(done)
	sent := make(chan int32)
	signal.Notify(signals, forwarded...)
	go forward(signals, sent, done)
	a.Signals = sent
	if tty {
		if raw, err := hostterm.MakeRaw(0); err == nil && a.Stdin != nil {
			defer raw.Restore()
		}
		sizes := make(chan stasis.Size, 1)
		stop := hostterm.WatchSize(1, func(ws hostterm.Winsize) {
			select {
			case sizes <- stasis.Size{Rows: uint32(ws.Rows), Cols: uint32(ws.Cols)}:
			case <-done:
			}
		})
		defer stop()
		a.Resize, a.Size = sizes, terminalSize()
	}
	return do(a)
}

// tellExit tells how a system in the foreground has ended, and exits the same.
func tellExit(name string, o *stasis.Options, x stasis.Exit) error {
	who := name
	if o.Name == "" && o.Module != "" {
		who = filepath.Base(o.Module) // nobody knows a random name
	}
	tell := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "stasis: %s: "+format+"\n", append([]any{who}, args...)...)
	}
	switch {
	case x.Checkpoint != "":
		if o.TTY {
			_ = unix.IoctlSetInt(0, unix.TCFLSH, unix.TCIFLUSH) // what was typed and not yet read is not for the shell
		}
		tell("saved to %s and stopped", x.Checkpoint)
	case x.Error != "":
		tell("%s", x.Error)
	case x.Limit != "":
		tell("%s", x.Limit)
	case x.Trap != "":
		tell("trap: %s", x.Trap)
		_, _ = io.WriteString(os.Stderr, x.Stack)
	case x.Stack != "":
		tell("SIGQUIT: quit")
		_, _ = io.WriteString(os.Stderr, x.Stack)
	}
	if x.Core != "" {
		tell("core dumped to %s", x.Core)
	} else if x.CoreError != "" {
		tell("%s", x.CoreError)
	}
	if x.Code != 0 {
		return &exitError{code: x.Code}
	}
	return nil
}

// startAttached starts a system and attaches to it.
func startAttached(ctx context.Context, s *stasis.System, stdin bool, keys string) error {
	p, err := s.Properties(ctx)
	if err != nil {
		return err
	}
	o := stasis.Options{Spec: p.Spec, Name: s.Name()}
	if err := s.Start(ctx, stasis.StartOptions{Foreground: true, Attached: true, Size: terminalSize()}); err != nil {
		return launchError(err)
	}
	defer s.Close()
	a := stasis.AttachOptions{DetachKeys: keys, Stdout: os.Stdout, Stderr: os.Stderr}
	if stdin {
		a.Stdin = os.Stdin
	}
	stop := keepSnapshots(ctx, s, &o.Spec)
	err = attach(ctx, s, a, o.TTY && stdin, nil)
	stop(err)
	if errors.Is(err, stasis.ErrDetached) {
		return nil
	}
	if err != nil {
		return err
	}
	x, err := s.Wait(ctx)
	if o.AutoRemove {
		defer s.Remove(ctx, stasis.RemoveOptions{})
	}
	if err != nil {
		return err
	}
	return tellExit(s.Name(), &o, x)
}

func attachCommand() *cobra.Command {
	var noStdin bool
	var keys string
	c := &cobra.Command{
		Use:               "attach [flags] NAME",
		Short:             "Attach to a running system: see its output, type its input",
		Long:              "Attach to a running system. Keys ctrl-p ctrl-q leave one with a terminal running.",
		Example:           "  stasis attach shell",
		Args:              arguments(1, 1),
		ValidArgsFunction: systemNames(1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, err := open(ctx, "attach", args[0])
			if err != nil {
				return err
			}
			p, err := s.Properties(ctx)
			if err != nil {
				return err
			}
			a := stasis.AttachOptions{DetachKeys: keys, Stdout: os.Stdout, Stderr: os.Stderr}
			if !noStdin {
				a.Stdin = os.Stdin
			}
			err = attach(ctx, s, a, p.Spec.TTY && hostterm.IsTerminal(0) && !noStdin, nil)
			if errors.Is(err, stasis.ErrDetached) {
				return nil
			}
			if err != nil {
				return err
			}
			x, err := s.Wait(ctx)
			if err != nil {
				return err
			}
			return tellExit(s.Name(), &stasis.Options{Spec: p.Spec, Name: s.Name()}, x)
		},
	}
	c.Flags().BoolVar(&noStdin, "no-stdin", false, "give it no input")
	c.Flags().StringVar(&keys, "detach-keys", stasis.DefaultDetachKeys, "keys that leave a system with a terminal running")
	return c
}

// lastWords bounds the wait for what a system that ends has to say still.
const lastWords = 5 * time.Second

// keepSnapshots keeps an image in the store whenever the program asks to be saved, if it
// may, until stop is called with what the attachment has come to.
func keepSnapshots(ctx context.Context, s *stasis.System, o *stasis.Spec) (stop func(error)) {
	if !o.Snapshots {
		return func(error) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		end := "\n"
		if o.TTY { // the terminal is raw
			end = "\r\n"
		}
		for keepSnapshot(ctx, s, end) {
		}
	}()
	return func(err error) {
		defer func() { cancel(); <-done }()
		if err != nil { // it runs on without us
			return
		}
		select { // it has ended, and with that the wait for its requests, once what is saved is told
		case <-done:
		case <-time.After(lastWords):
		}
	}
}

// keepSnapshot waits for the program's next request, and tells what came of it in a line
// with that end. It reports false if none will come.
func keepSnapshot(ctx context.Context, s *stasis.System, end string) bool {
	st, err := s.Checkpoint(ctx, stasis.CheckpointOptions{OnRequest: true, Leave: true, Prepare: -1})
	switch kind := stasis.KindOf(err); {
	case err == nil:
		fmt.Fprintf(os.Stderr, "stasis: %s: saved as it asked for: %s%s", s.Name(), st.Generation, end)
	case ctx.Err() != nil, kind == stasis.UnexpectedExit, kind == stasis.NotFound, kind == stasis.WrongState, kind == stasis.AlreadyStopped: // it has ended
		return false
	default: // the program knows, too
		fmt.Fprintf(os.Stderr, "stasis: %s: not saved, which it asked for: %v%s", s.Name(), err, end)
		select { // whatever it is, it may be there at the next attempt
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return true
}
