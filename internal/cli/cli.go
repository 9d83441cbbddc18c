// Package cli is the command line of stasis: a file for each family of commands.
// It stands on the public package, as any other program could.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

// Exit codes besides the program's own.
const (
	exitFailed   = 125 // stasis itself could not do it
	exitCannot   = 126 // there is such a file, but it cannot be run
	exitNotFound = 127 // there is no such file

	exitInterrupted = 130 // by SIGINT
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

// Main carries out the process's command line and ends the process.
func Main() { os.Exit(run(os.Args[1:])) }

// startsSystem reports whether a command line will start a system, most likely: its
// process is then on its way while the rest of the line is read.
func startsSystem(args []string) bool {
	return len(args) > 1 && (args[0] == "run" || args[0] == "restore") && !slices.Contains(args, "--help")
}

// run carries out a command line and returns the exit code.
func run(args []string) int {
	root := NewRoot()
	if startsSystem(args) {
		host.Prepare()
	}
	root.SetArgs(signalFlags(args))
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if err.Error() != "" {
		for line := range strings.Lines(err.Error()) { // one for each of several that failed
			fmt.Fprintln(os.Stderr, "stasis:", strings.TrimSuffix(line, "\n"))
		}
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}

// launchError gives the error of a system that never ran its exit code.
func launchError(err error) error {
	code := exitFailed
	switch stasis.KindOf(err) {
	case stasis.NotRunnable, stasis.Corrupt, stasis.Unsupported:
		code = exitCannot
	case stasis.NotFound:
		code = exitNotFound
	case stasis.Canceled:
		return &exitError{code: exitInterrupted}
	}
	return &exitError{code, err}
}

// host is where systems are kept, as the global flags say.
var host = &stasis.Host{}

// NewRoot makes the tree of commands.
func NewRoot() *cobra.Command {
	host = &stasis.Host{}
	root := &cobra.Command{
		Use:   "stasis",
		Short: "Run WebAssembly programs that can be stopped, saved and woken at any moment",
		Long: `Stasis runs WebAssembly programs as compute systems: processes that can be stopped
at any moment, saved to an image, and woken again, here or elsewhere.`,
		Example: `  stasis run hello.wasm
  stasis run -d --name job long.wasm
  stasis checkpoint job
  stasis restore job`,
		Version:       stasis.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownVerb,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	b := stasis.ThisBuild()
	root.SetVersionTemplate(versionLine(&b))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%s: %w (see: %s --help)", c.Name(), err, c.CommandPath())
	})
	var progress string
	root.PersistentFlags().StringVar(&progress, "progress", "auto", "how progress is shown on stderr: auto, plain, json or none")
	complete(root, "progress", "auto", "plain", "json", "none")
	var cacheSize string
	root.PersistentFlags().StringVar(&cacheSize, "cache-size", "", "how much compiled code is kept, such as 500m, or none for no limit; $"+cacheSizeVar+", or "+defaultCacheSize+" by default")
	root.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		if host.CacheSize, err = parseCacheSize(cacheSize); err == nil {
			host.Progress, err = newProgress(progress)
		}
		return err
	}
	root.AddCommand(
		runCommand(), createCommand(), startCommand(), attachCommand(), execCommand(), checkpointCommand(), restoreCommand(),
		psCommand(), inspectCommand(), logsCommand(), cpCommand(), renameCommand(), pauseCommand(), resumeCommand(),
		killCommand(), stopCommand(), waitCommand(), rmCommand(), pruneCommand(), statsCommand(), topCommand(),
		imageCommand(), compileCommand(), cacheCommand(), debugCommand(), syscallsCommand(), doctorCommand(), versionCommand(), completionCommand(),
	)
	return root
}

// unknownVerb refuses what is no command, and says what may be meant.
func unknownVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	group := ""
	if c.HasParent() {
		group = c.Name() + ": "
	}
	if names := c.SuggestionsFor(args[0]); len(names) > 0 {
		return fmt.Errorf("%sthere is no command %q (did you mean %s?)", group, args[0], strings.Join(names, " or "))
	}
	return fmt.Errorf("%sthere is no command %q (see: %s --help)", group, args[0], c.CommandPath())
}

// arguments checks how many arguments a command has; most < 0 is no limit.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return fmt.Errorf("%s: %d arguments: want %s (see: %s --help)", c.Name(), len(args), c.UseLine(), c.CommandPath())
	}
}
