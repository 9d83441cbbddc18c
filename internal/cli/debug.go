package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func debugCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "debug",
		Short: "Look into running systems",
		Args:  unknownVerb,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(debugStackCommand())
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
