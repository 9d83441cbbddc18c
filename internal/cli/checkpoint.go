package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

// saveTimeout bounds a checkpoint. Saving a large system takes a while.
const saveTimeout = 10 * time.Minute

func checkpointCommand() *cobra.Command {
	var o stasis.CheckpointOptions
	var stats bool
	var prepare time.Duration
	var format string
	c := &cobra.Command{
		Use:   "checkpoint [flags] NAME",
		Short: "Save a running system, and end it",
		Long: `Save a running system: all of it, the program included. The image is kept in the
store, or in a directory that must not exist yet; it is complete or absent.
Unless --leave-running is given, the system ends; restore wakes it where it was.

A loop that goes on after a restore is compiled once more, as a jailed system
cannot keep what it compiles. So the command does that, once the image is
complete, into the cache of compiled code (--prepare).

The guest's environment is in the image, and so may secrets be: --drop-env
leaves variables out of what the kernel saves, though not out of the guest's
memory, where its C library keeps a copy.`,
		Example: `  stasis checkpoint job --leave-running --tag half-way
  stasis checkpoint job --image-path job.img`,
		Args:              arguments(1, 1),
		ValidArgsFunction: systemNames(1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "" && format != "json" {
				return fmt.Errorf("checkpoint: format %q: want json", format)
			}
			s, err := open(cmd.Context(), "checkpoint", args[0])
			if err != nil {
				return err
			}
			if o.Prepare = prepare; prepare <= 0 {
				o.Prepare = -1
			}
			ctx := cmd.Context()
			if !o.OnRequest { // the program may take as long as it likes
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, saveTimeout)
				defer cancel()
			}
			st, err := s.Checkpoint(ctx, o)
			if err != nil {
				return err
			}
			return printStats(st, o, stats, format)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "image-path", "", "directory of the image, which must not exist; the store by default")
	f.StringVar(&o.Tag, "tag", "", "name of the image in the store")
	f.BoolVar(&o.Leave, "leave-running", false, "let the system run on")
	f.BoolVar(&o.Thin, "thin", false, "leave the module out of the image")
	f.StringArrayVar(&o.DropEnv, "drop-env", nil, "leave a variable of the environment out")
	f.BoolVar(&o.NoWait, "no-wait", false, "fail if another checkpoint of the system is under way")
	f.BoolVar(&o.OnRequest, "on-request", false, "wait until the program asks for it (proc_snapshot); it must have been started with --snapshots")
	f.DurationVar(&prepare, "prepare", stasis.DefaultPrepare, "afterwards, compile for so long what a restore would have to; 0 is not at all")
	f.BoolVar(&stats, "print-stats", false, "print how long it took to stderr")
	f.StringVar(&format, "format", "", "print the statistics to stdout: json")
	return c
}

func printStats(st stasis.Stats, o stasis.CheckpointOptions, stats bool, format string) error {
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(st)
	}
	if o.Dir == "" {
		if _, err := fmt.Println(st.Generation); err != nil {
			return err
		}
	}
	if stats {
		fmt.Fprintf(os.Stderr, "attempt %d\ngeneration %s\ntime_to_stop_us %d\nstopped_us %d\ntotal_us %d\npages_scanned %d\npages_written %d\nbytes_written %d\nframes %d\nmemory_bytes %d\n",
			st.Attempt, st.Generation, st.TimeToStop, st.Stopped, st.Total, st.PagesScanned, st.PagesWritten, st.BytesWritten, st.Frames, st.Memory)
	}
	return nil
}

func restoreCommand() *cobra.Command {
	var g systemFlags
	var module string
	c := &cobra.Command{
		Use:   "restore [flags] IMAGE",
		Short: "Wake a system from an image",
		Long: `Wake a system from an image: a directory, or what stasis image ls lists; the name
of a system stands for its latest image. It needs nothing else: not the program's
file, not the machine that it was saved on. What it used of that machine,
directories and listening sockets, has to be granted again by -v and --listen.`,
		Example: `  stasis restore job
  stasis restore job.img --name job2 -d`,
		Args:              arguments(1, 1),
		ValidArgsFunction: imageNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := g.options()
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			im, err := host.Image(cmd.Context(), args[0])
			if err != nil {
				return launchError(as("restore", err))
			}
			o.Image = im.Dir
			if module != "" {
				if o.Module, err = filepath.Abs(module); err != nil {
					return fmt.Errorf("restore: %w", err)
				}
			}
			o.TTY = o.TTY || im.TTY()
			if err := g.terminalOf(&o); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			return launch(cmd.Context(), &g, o)
		},
	}
	g.add(c)
	g.addStart(c)
	c.Flags().StringVar(&module, "module", "", "file of the module of a thin image")
	return c
}
