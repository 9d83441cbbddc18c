package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
	"github.com/stasis-run/stasis/internal/spec"
)

// callTimeout bounds what a running system does at once, or not at all.
const callTimeout = 15 * time.Second

// overNames makes the RunE of a command that does something to systems, and
// prints the name of each to which it was done, as docker does.
func overNames(do func(ctx context.Context, s *stasis.System) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		errs := make([]error, len(args))
		var out sync.Mutex
		var wg sync.WaitGroup
		for i, name := range args {
			wg.Go(func() {
				s, err := open(cmd.Context(), cmd.Name(), name)
				if err == nil {
					err = as(cmd.Name(), do(cmd.Context(), s))
				}
				if err == nil {
					out.Lock()
					defer out.Unlock()
					_, err = fmt.Println(name)
				}
				errs[i] = err
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

// promptly bounds do.
func promptly(do func(ctx context.Context, s *stasis.System) error) func(context.Context, *stasis.System) error {
	return func(ctx context.Context, s *stasis.System) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return do(ctx, s)
	}
}

func pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME...",
		Short: "Stop all that systems do, until they are resumed",
		Long: `Stop all tasks of systems where they are; the guests do not notice. A paused
system can be saved.`,
		Example:           "  stasis pause job",
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, isRunning),
		RunE:              overNames(promptly(func(ctx context.Context, s *stasis.System) error { return s.Pause(ctx) })),
	}
}

func resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "resume NAME...",
		Aliases:           []string{"unpause"},
		Short:             "Let paused systems run on",
		Example:           "  stasis resume job",
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, func(s stasis.State) bool { return s == stasis.StatePaused }),
		RunE:              overNames(promptly(func(ctx context.Context, s *stasis.System) error { return s.Resume(ctx) })),
	}
}

func killCommand() *cobra.Command {
	sig := "KILL"
	var pid int32
	c := &cobra.Command{
		Use:   "kill [flags] NAME...",
		Short: "Send systems a signal",
		Long: `Send the first process of systems a signal: KILL, or what --signal says; as of
kill(1), -QUIT is short for --signal QUIT. QUIT ends a system, too; its log then has
the stacks of all tasks. With --pid, send it another process of one system, by its
number in there (stasis top).`,
		Example: `  stasis kill job
  stasis kill -s USR1 job
  stasis kill -QUIT job
  stasis kill --pid 7 -TERM job`,
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := spec.ParseSignal(sig)
			if err != nil {
				return fmt.Errorf("kill: %w", err)
			}
			if !cmd.Flags().Changed("pid") {
				return overNames(promptly(func(ctx context.Context, s *stasis.System) error { return s.Signal(ctx, n) }))(cmd, args)
			}
			if len(args) > 1 {
				return fmt.Errorf("kill: --pid is for one system (see: %s --help)", cmd.CommandPath())
			}
			return overNames(promptly(func(ctx context.Context, s *stasis.System) error { return s.SignalProcess(ctx, pid, n) }))(cmd, args)
		},
	}
	c.Flags().Int32Var(&pid, "pid", 0, "send it this process of the system")
	c.Flags().StringVarP(&sig, "signal", "s", sig, "name or number of the signal")
	complete(c, "signal", "KILL", "TERM", "INT", "HUP", "QUIT", "STOP", "CONT", "USR1", "USR2")
	return c
}

// signalFlags has kill(1)'s way of naming signals, kill -QUIT and kill -9, mean what
// it means there. Flags of ours with one letter are small ones.
func signalFlags(args []string) []string {
	if len(args) < 2 || args[0] != "kill" {
		return args
	}
	out := slices.Clone(args)
	for i, a := range args[1:] {
		if a == "--" {
			break
		}
		name, ok := strings.CutPrefix(a, "-")
		if !ok || name == "" || name != strings.ToUpper(name) || args[i] == "-s" || args[i] == "--signal" {
			continue
		}
		if _, err := spec.ParseSignal(name); err == nil {
			out[i+1] = "--signal=" + name
		}
	}
	return out
}

// maxGrace bounds --time of stop: a day.
const maxGrace = 24 * 60 * 60

func stopCommand() *cobra.Command {
	var seconds int
	c := &cobra.Command{
		Use:   "stop [flags] NAME...",
		Short: "End systems: ask them, then insist",
		Long: `Send systems SIGTERM, and SIGKILL to those that have not ended after --time. They
stay listed until they are removed; what does not run is left as it is.`,
		Example:           "  stasis stop -t 60 job",
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			if seconds < 0 || seconds > maxGrace {
				return fmt.Errorf("stop: time %d: want seconds, at most %d", seconds, maxGrace)
			}
			grace := time.Duration(seconds) * time.Second
			return overNames(func(ctx context.Context, s *stasis.System) error { return s.Shutdown(ctx, grace) })(cmd, args)
		},
	}
	c.Flags().IntVarP(&seconds, "time", "t", 10, "seconds from SIGTERM to SIGKILL")
	return c
}

func renameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rename OLD NEW",
		Short:             "Give a system another name",
		Long:              "Give a system another name, also while it runs. Its images keep the name it had.",
		Example:           "  stasis rename job old-job",
		Args:              arguments(2, 2),
		ValidArgsFunction: systemNames(1, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := open(cmd.Context(), "rename", args[0])
			if err != nil {
				return err
			}
			return s.Rename(cmd.Context(), args[1])
		},
	}
}

func waitCommand() *cobra.Command {
	var timeout time.Duration
	var attempt int64
	var format string
	c := &cobra.Command{
		Use:   "wait [flags] NAME...",
		Short: "Wait until systems have ended and print their exit codes",
		Long: `Wait until systems have ended and print their exit codes, a line each. Of one
that does not run, it is that of its latest run.

With --checkpoint, wait until a checkpoint of a system has ended, and tell how it
did: it is done if the exit code is 0, and has failed if it is 125. That can be
asked at any time, also if the command that began the checkpoint was killed.
Attempts are counted from 1, those that failed too; 0 is the latest.`,
		Example: `  stasis wait job
  stasis wait --timeout 30s a b
  stasis wait --checkpoint 3 job`,
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "" && format != "json" {
				return fmt.Errorf("wait: format %q: want json", format)
			}
			ctx := cmd.Context()
			if timeout < 0 {
				return fmt.Errorf("wait: timeout %v: want a time such as 30s", timeout)
			}
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			w := waiting{json: format == "json", timeout: timeout}
			if !cmd.Flags().Changed("checkpoint") {
				return w.exits(ctx, args)
			}
			if attempt < 0 || len(args) > 1 {
				return fmt.Errorf("wait: --checkpoint is for one system, and a number of at least 0 (see: %s --help)", cmd.CommandPath())
			}
			return w.checkpoint(ctx, args[0], uint64(attempt))
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up after this time, with exit code 124")
	c.Flags().Int64Var(&attempt, "checkpoint", 0, "wait for this checkpoint of the system instead; 0 is the latest")
	addFormat(c, &format, "json: all that is known of how it ended")
	return c
}

type waiting struct {
	json    bool
	timeout time.Duration
}

// exits waits for systems, which end in any order, and tells of them in theirs.
func (w *waiting) exits(ctx context.Context, names []string) error {
	type end struct {
		exit stasis.Exit
		err  error
	}
	ends := make([]chan end, len(names))
	for i, name := range names {
		ends[i] = make(chan end, 1)
		go func() {
			s, err := open(ctx, "wait", name)
			var x stasis.Exit
			if err == nil {
				x, err = s.Wait(ctx)
			}
			ends[i] <- end{x, err}
		}()
	}
	var errs []error
	for i, name := range names {
		e := <-ends[i]
		if e.err == nil {
			e.err = w.print(name, e.exit)
		}
		errs = append(errs, w.failure(ctx, name, e.err))
	}
	return errors.Join(errs...)
}

func (w *waiting) print(name string, x stasis.Exit) error {
	if w.json {
		return json.NewEncoder(os.Stdout).Encode(x)
	}
	if x.Error != "" {
		fmt.Fprintf(os.Stderr, "stasis: wait %s: %s\n", name, x.Error)
	}
	_, err := fmt.Println(x.Code)
	return err
}

// exitTimeout is the exit code of a wait that was given up.
const exitTimeout = 124

func (w *waiting) failure(ctx context.Context, name string, err error) error {
	if err != nil && ctx.Err() != nil {
		return &exitError{exitTimeout, fmt.Errorf("wait %s: it still runs after %v (wait longer with --timeout)", name, w.timeout)}
	}
	return as("wait", err)
}

func (w *waiting) checkpoint(ctx context.Context, name string, n uint64) error {
	s, err := open(ctx, "wait", name)
	if err != nil {
		return err
	}
	a, err := s.WaitCheckpoint(ctx, n)
	if err != nil {
		return w.failure(ctx, name, err)
	}
	if w.json {
		if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
			return err
		}
	}
	switch a.Outcome {
	case stasis.AttemptDone:
		if !w.json {
			_, err = fmt.Println(a.Generation)
		}
		return err
	case stasis.AttemptFailed:
		return fmt.Errorf("wait %s: checkpoint %d: %s", name, a.Number, a.Error)
	}
	return fmt.Errorf("wait %s: checkpoint %d: there is no image, and nobody noted why: the system's process was killed (make another with: stasis checkpoint)", name, a.Number)
}

func rmCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "rm [flags] NAME...",
		Short: "Remove systems",
		Long: `Remove systems that do not run, and what they have written; their images stay.
With --force, end them first, and do not mind names that there are none of.`,
		Example: `  stasis rm job
  stasis rm -f a b`,
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(args, func(name string) error {
				s, err := open(cmd.Context(), "rm", name)
				if err == nil {
					err = as("rm", s.Remove(cmd.Context(), stasis.RemoveOptions{Force: force}))
				}
				if force && stasis.KindOf(err) == stasis.NotFound {
					return nil
				}
				if err == nil {
					_, err = fmt.Println(name)
				}
				return err
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "end them first")
	return c
}

func pruneCommand() *cobra.Command {
	var force, all bool
	var filter []string
	c := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove all systems that have ended",
		Long: `Remove all systems that have ended, and what commands left that were killed; print
the names of the systems. Images stay, and with them what was saved.`,
		Example: `  stasis prune -f
  stasis prune --filter label=team=red`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			f, err := parseFilters(cmd, filter, "name", "id", "label", "status")
			if err != nil {
				return err
			}
			if !force {
				if yes, err := confirm("prune", "This removes all systems that have ended."); err != nil || !yes {
					return err
				}
			}
			systems, err := host.List(ctx, stasis.Query{})
			if err != nil {
				return as("prune", err)
			}
			var errs []error
			for i, r := range psRows(ctx, systems) {
				if r == nil || r.State.Running() || r.State == stasis.StateCreated && !all || !f.match(r) {
					continue
				}
				err := systems[i].Remove(ctx, stasis.RemoveOptions{})
				switch {
				case err == nil:
					_, err = fmt.Println(r.Name)
				case stasis.KindOf(err) == stasis.WrongState:
					err = nil // it was started meanwhile
				}
				errs = append(errs, as("prune", err))
			}
			return errors.Join(append(errs, as("prune", host.Sweep(ctx)))...)
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	c.Flags().BoolVarP(&all, "all", "a", false, "remove those that have not run yet, too")
	c.Flags().StringArrayVar(&filter, "filter", nil, "remove what is like this only: name=PART, id=START, label=KEY[=VALUE] or status=STATE")
	return c
}

// confirm asks whoever is at the terminal.
func confirm(verb, what string) (yes bool, err error) {
	if !hostterm.IsTerminal(0) {
		return false, fmt.Errorf("%s: nobody is there to be asked: stdin is no terminal (add --force)", verb)
	}
	fmt.Fprintf(os.Stderr, "%s Go on? [y/N] ", what)
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes", nil
}
