package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func debugCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "debug",
		Short: "Look into running systems",
		Example: `  stasis debug stack job
  stasis debug coredump job job.core`,
		Args: unknownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(debugStackCommand(), debugCoredumpCommand())
	return c
}

func debugStackCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "stack [flags] NAME",
		Short: "Print what each task of a running system is doing",
		Long: `Print the stack of each task of a running system: functions, offsets in the
module's file, the lines of the source if the module has DWARF (clang -g), and the
system call that a task waits in. The system is stopped for a moment and runs on.`,
		Example: `  stasis debug stack job
  stasis debug stack --json job`,
		Args:              arguments(1, 1),
		ValidArgsFunction: systemNames(1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
			defer cancel()
			s, err := open(ctx, "debug stack", args[0])
			if err != nil {
				return err
			}
			stacks, err := s.Stacks(ctx)
			if err != nil {
				return as("debug stack", err)
			}
			return printStacks(stacks, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print an array of JSON, an element a task")
	return c
}

func printStacks(stacks []stasis.Stack, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(stacks)
	}
	for i := range stacks {
		if _, err := fmt.Printf("%s\n%s", stacks[i].Head(), stacks[i].Text()); err != nil {
			return err
		}
	}
	return nil
}

// coredumpTimeout bounds the writing of a core dump.
const coredumpTimeout = 10 * time.Minute

func debugCoredumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "coredump NAME FILE",
		Short: "Write a core dump of a running system",
		Long: `Write a core dump of a running system to a file that must not exist yet, in the
format of the WebAssembly tool conventions: stacks, globals, memory. The system
stands meanwhile and runs on. Frames have those of their locals that they still
need; in a dump of a trap, those that were running at that moment have none.
See also: stasis run --coredump.`,
		Example:           "  stasis debug coredump job job.core",
		Args:              arguments(2, 2),
		ValidArgsFunction: systemNames(1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, cancel := context.WithTimeout(cmd.Context(), coredumpTimeout)
			defer cancel()
			s, err := open(ctx, "debug coredump", args[0])
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("debug coredump %s: %w", args[0], err)
			}
			err = as("debug coredump", errors.Join(s.WriteCoredump(ctx, f), f.Close()))
			if err != nil {
				err = errors.Join(err, os.Remove(args[1])) // half of one is none
			}
			return err
		},
	}
}
