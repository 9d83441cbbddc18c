// Command stasis runs WebAssembly programs as processes that can be stopped at
// any moment, saved, and woken again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis/internal/sandbox"
)

// Exit codes besides the program's own.
const (
	exitFailed   = 125 // stasis itself could not do it
	exitCannot   = 126 // there is such a file, but it cannot be run
	exitNotFound = 127 // there is no such file
)

// An exitError ends the command with a code and, if it has one, a text.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	err := newRoot().ExecuteContext(context.Background())
	if err == nil {
		return
	}
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "stasis:", err)
	}
	os.Exit(code)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "stasis",
		Short:         "Run WebAssembly programs that can be stopped, saved and woken at any moment",
		Version:       sandbox.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		runCommand(), checkpointCommand(), restoreCommand(), psCommand(), logsCommand(),
		waitCommand(), killCommand(), rmCommand(), sandboxCommand(),
	)
	return root
}

// named finds the system that a command is about.
func named(name string) (*sandbox.Entry, error) {
	store, err := sandbox.DefaultStore()
	if err != nil {
		return nil, err
	}
	return store.Get(name)
}
