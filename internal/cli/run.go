package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis"
)

func runCommand() *cobra.Command {
	var g systemFlags
	var p programFlags
	c := &cobra.Command{
		Use:   "run [flags] FILE.wasm [ARGS]",
		Short: "Run a program",
		Long: `Run a WebAssembly program (WASI preview 1) as a system of its own.

The exit code is the program's; 128+n if signal n ended it, 134 after a trap,
124 after --timeout, 125 if stasis failed, 126 if the file cannot be run and
127 if there is none.`,
		Example: `  stasis run hello.wasm
  stasis run --rm -v .:/work -w /work python.wasm script.py
  stasis run -it python.wasm
  stasis run -d --name job long.wasm
  stasis run --invoke fib fib.wasm 30`,
		Args:              arguments(1, -1),
		ValidArgsFunction: moduleFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := g.options()
			if err == nil {
				err = errors.Join(p.apply(&o.Spec, args), g.terminal())
			}
			if err != nil {
				return fmt.Errorf("run: %w", err)
			}
			return launch(cmd.Context(), &g, o)
		},
	}
	g.add(c)
	g.addStart(c)
	p.add(c, &g)
	return c
}

func createCommand() *cobra.Command {
	var g systemFlags
	var p programFlags
	c := &cobra.Command{
		Use:   "create [flags] FILE.wasm [ARGS]",
		Short: "Make a system that does not run yet, and print its name",
		Example: `  stasis create --name job job.wasm
  stasis start job`,
		Args:              arguments(1, -1),
		ValidArgsFunction: moduleFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := g.options()
			if err == nil {
				err = p.apply(&o.Spec, args)
			}
			if err != nil {
				return fmt.Errorf("create: %w", err)
			}
			if err := stasis.CheckModule(o.Module); err != nil {
				return launchError(err)
			}
			s, err := host.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Println(s.Name())
			return err
		},
	}
	g.add(c)
	p.add(c, &g)
	return c
}

func startCommand() *cobra.Command {
	var attach, interactive bool
	var keys, jail string
	c := &cobra.Command{
		Use:   "start [flags] NAME...",
		Short: "Start systems that were created, or have ended",
		Example: `  stasis start job
  stasis start -ai shell`,
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, isResting),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setJail(jail); err != nil {
				return fmt.Errorf("start: %w", err)
			}
			attach = attach || interactive
			if attach && len(args) > 1 {
				return errors.New("start: -a and -i are for one system (start the others without)")
			}
			return each(args, func(name string) error {
				s, err := open(cmd.Context(), "start", name)
				if err != nil {
					return err
				}
				if !attach {
					if err := s.Start(cmd.Context(), stasis.StartOptions{}); err != nil {
						return err
					}
					_, err := fmt.Println(s.Name())
					return err
				}
				return startAttached(cmd.Context(), s, interactive, keys)
			})
		},
	}
	f := c.Flags()
	f.BoolVarP(&attach, "attach", "a", false, "show the output, and exit as the system does")
	f.BoolVarP(&interactive, "interactive", "i", false, "let the guest read stdin")
	f.StringVar(&keys, "detach-keys", stasis.DefaultDetachKeys, "keys that leave a system with a terminal running in the background")
	addJail(c, &jail)
	return c
}

// each calls f for each name, and joins the errors.
func each(names []string, f func(name string) error) error {
	var errs []error
	for _, n := range names {
		if err := f(n); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// launch makes a system and runs it here, or in the background.
func launch(ctx context.Context, g *systemFlags, o stasis.Options) error {
	if g.detach {
		return launchDetached(ctx, o)
	}
	o.Start.Foreground = true
	if o.TTY {
		o.Start.Attached, o.Start.Size = true, terminalSize()
	} else {
		o.Start.Stdin, o.Start.Stdout, o.Start.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return foreground(ctx, s, &o, g.interactive || !o.TTY, g.keys)
}

// launchFailure gives the error of a system that never ran its exit code: 127 is
// for a program that is not there, not for what it was to be given.
func launchFailure(err error, o stasis.Options) error {
	err = named(err, o)
	if stasis.KindOf(err) == stasis.NotFound {
		if _, stat := os.Stat(o.Module); o.Module == "" || stat == nil {
			return err
		}
	}
	return launchError(err)
}

// named gives an error the name that the user knows.
func named(err error, o stasis.Options) error {
	var e *stasis.Error
	if !errors.As(err, &e) {
		return err
	}
	shown := *e
	switch {
	case o.Image != "":
		shown.Op, shown.ID = "restore", filepath.Base(o.Image)
	default:
		shown.Op, shown.ID = "run", o.Args[0]
	}
	return &shown
}

// start makes a system and starts it, unless a signal comes before that has been
// done; the command then ends as the signal would have ended it.
func start(ctx context.Context, o stasis.Options) (*stasis.System, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signal.Notify(signals, forwarded...)
	early := make(chan []os.Signal, 1)
	go func() { early <- awaitStart(ctx, cancel) }()
	s, err := host.Run(ctx, o)
	cancel()
	for _, sig := range <-early {
		if err != nil && ends(sig) {
			return nil, &exitError{code: 128 + int(sig.(unix.Signal))}
		}
		select {
		case signals <- sig: // it is the guest's
		default: // more than anybody waits for
		}
	}
	if err != nil {
		return nil, launchFailure(err, o)
	}
	return s, nil
}

// awaitStart collects the signals that come until ctx is done, and gives the start
// up at one that ends a command.
func awaitStart(ctx context.Context, giveUp func()) (early []os.Signal) {
	for {
		select {
		case sig := <-signals:
			if len(early) < cap(signals) {
				early = append(early, sig)
			}
			if ends(sig) {
				giveUp()
			}
		case <-ctx.Done():
			return early
		}
	}
}

// ends reports whether a signal ends a command that has no system yet.
func ends(sig os.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
		return true
	}
	return false
}

func launchDetached(ctx context.Context, o stasis.Options) error {
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = fmt.Println(s.Name())
	return err
}
