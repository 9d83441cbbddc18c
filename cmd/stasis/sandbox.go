package main

import (
	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis/internal/sandbox"
)

// sandboxCommand is what a detached system runs as; see sandbox.Detach.
func sandboxCommand() *cobra.Command {
	return &cobra.Command{
		Use:    sandbox.ChildCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			code, err := sandbox.Child(cmd.Context())
			if err == nil && code != 0 {
				err = &exitError{code: code}
			}
			return err
		},
	}
}
