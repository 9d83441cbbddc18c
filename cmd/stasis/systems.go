package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis/internal/sandbox"
)

// askTimeout bounds a request to a running system. Saving a large one takes a
// while.
const askTimeout = 10 * time.Minute

func checkpointCommand() *cobra.Command {
	var dir string
	var leave, stats bool
	c := &cobra.Command{
		Use:   "checkpoint NAME --image-path DIR",
		Short: "Save a running system, and end it",
		Long: `Save a running system to a directory that must not exist yet: all of it, the
program included. The image is complete or absent. Unless --leave-running is
given, the system ends; restore wakes it where it was.`,
		Example: "  stasis checkpoint job --image-path job.img --leave-running",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return fmt.Errorf("checkpoint %s: no --image-path (add --image-path DIR, a directory to be made)", args[0])
			}
			path, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			e, err := named(args[0])
			if err != nil {
				return fmt.Errorf("checkpoint: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout)
			defer cancel()
			r, err := e.Ask(ctx, sandbox.Request{Op: "checkpoint", Dir: path, Leave: leave})
			if err != nil {
				return fmt.Errorf("checkpoint %s: %w", args[0], err)
			}
			if !leave { // what it had of the host is free when this returns
				if _, err := e.Wait(ctx); err != nil && !errors.Is(err, sandbox.ErrNotFound) {
					return fmt.Errorf("checkpoint %s: saved, but: %w", args[0], err)
				}
			}
			if stats {
				s := r.Stats
				fmt.Fprintf(os.Stderr, "time_to_stop_us %d\nstopped_us %d\ntotal_us %d\nframes %d\nmemory_bytes %d\n",
					s.TimeToStop.Microseconds(), s.Stopped.Microseconds(), s.Total.Microseconds(), s.Frames, s.Memory)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "image-path", "", "directory of the image; must not exist")
	f.BoolVar(&leave, "leave-running", false, "let the system run on")
	f.BoolVar(&stats, "print-stats", false, "print how long it took to stderr")
	return c
}

func restoreCommand() *cobra.Command {
	var g grantFlags
	c := &cobra.Command{
		Use:   "restore DIR",
		Short: "Wake a system from an image",
		Long: `Wake a system from an image. It needs nothing else: not the program's file, not
the machine that it was saved on. What it used of that machine, directories
and listening sockets, has to be granted again by --dir and --listen.`,
		Example: "  stasis restore job.img --name job2 -d",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := g.config()
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			if cfg.Image, err = existing("restore: image", args[0], true, "name what checkpoint has written"); err != nil {
				return err
			}
			info := sandbox.Info{Name: cfg.Name, Image: cfg.Image, Detach: g.detach}
			return launch(cmd.Context(), cfg, info)
		},
	}
	g.add(c)
	return c
}

func psCommand() *cobra.Command {
	var all, quiet bool
	c := &cobra.Command{
		Use:   "ps",
		Short: "List systems",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := sandbox.DefaultStore()
			if err != nil {
				return err
			}
			entries, err := store.List()
			if err != nil {
				return fmt.Errorf("ps: %w", err)
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			if !quiet {
				fmt.Fprintln(w, "NAME\tSTATE\tPID\tSTARTED\tCPU\tPROGRAM")
			}
			for _, e := range entries {
				if all || e.Running() {
					psLine(cmd.Context(), w, e, quiet)
				}
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "list those that have ended, too")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print names only")
	return c
}

func psLine(ctx context.Context, w io.Writer, e *sandbox.Entry, quiet bool) {
	if quiet {
		fmt.Fprintln(w, e.Name())
		return
	}
	info, err := e.Info()
	if err != nil {
		state := "starting"
		if !e.Running() {
			state = "ended unexpectedly"
		}
		fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\n", e.Name(), state)
		return
	}
	state, cpu := "running", "-"
	if e.Running() {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if r, err := e.Ask(ctx, sandbox.Request{Op: "status"}); err == nil {
			state, cpu = r.State, time.Duration(r.CPU).Round(time.Millisecond).String()
		}
	} else if x, err := e.Exit(); err == nil {
		state = fmt.Sprintf("exited (%d)", x.Code)
		switch {
		case x.Checkpoint != "":
			state = "saved"
		case x.Unexpected:
			state = "ended unexpectedly"
		}
	}
	program := strings.Join(info.Args, " ")
	fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", e.Name(), state, info.PID, info.Started.Format(time.DateTime), cpu, program)
}

func logsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs NAME",
		Short: "Print what a detached system has written",
		Args:  arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := named(args[0])
			if err != nil {
				return fmt.Errorf("logs: %w", err)
			}
			f, err := os.Open(e.LogPath())
			if err != nil {
				return fmt.Errorf("logs %s: no log: it is not detached, its output is where it was started", args[0])
			}
			defer f.Close()
			if _, err = io.Copy(os.Stdout, f); err != nil {
				return fmt.Errorf("logs %s: %w", args[0], err)
			}
			return nil
		},
	}
}

func waitCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until a system has ended and print its exit code",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := named(args[0])
			if err != nil {
				return fmt.Errorf("wait: %w", err)
			}
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			x, err := e.Wait(ctx)
			if ctx.Err() != nil && err != nil {
				return &exitError{exitTimeout, fmt.Errorf("wait %s: it still runs after %v", args[0], timeout)}
			}
			if err != nil {
				return fmt.Errorf("wait %s: %w", args[0], err)
			}
			if x.Error != "" {
				fmt.Fprintf(os.Stderr, "stasis: wait %s: %s\n", args[0], x.Error)
			}
			_, err = fmt.Println(x.Code)
			return err
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up after this time")
	return c
}

func killCommand() *cobra.Command {
	sig := "KILL"
	c := &cobra.Command{
		Use:   "kill NAME",
		Short: "Send a system a signal",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseSignal(sig)
			if err != nil {
				return fmt.Errorf("kill: %w", err)
			}
			e, err := named(args[0])
			if err != nil {
				return fmt.Errorf("kill: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			if _, err := e.Ask(ctx, sandbox.Request{Op: "signal", Signal: n}); err != nil {
				return fmt.Errorf("kill %s: %w", args[0], err)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&sig, "signal", "s", sig, "name or number of the signal")
	return c
}

func rmCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove systems that have ended",
		Args:  arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var errs []error
			for _, name := range args {
				errs = append(errs, remove(cmd.Context(), name, force))
			}
			return errors.Join(errs...)
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "end them first")
	return c
}

func remove(ctx context.Context, name string, force bool) error {
	e, err := named(name)
	if err != nil {
		return fmt.Errorf("rm: %w", err)
	}
	if force && e.Running() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := e.Ask(ctx, sandbox.Request{Op: "signal", Signal: 9}); err != nil && e.Running() {
			return fmt.Errorf("rm %s: %w", name, err)
		}
		if _, err := e.Wait(ctx); err != nil && !errors.Is(err, sandbox.ErrNotFound) {
			return fmt.Errorf("rm %s: %w", name, err)
		}
	}
	if err := e.Delete(); err != nil {
		return fmt.Errorf("rm: %w", err)
	}
	return nil
}
