package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
)

func execCommand() *cobra.Command {
	var o stasis.ExecOptions
	var p programFlags
	var interactive bool
	c := &cobra.Command{
		Use:   "exec [flags] NAME PROGRAM [ARGS]",
		Short: "Run another program in a running system",
		Long: `Run another process in a running system: a program in the system's files, looked for
as a shell does, or with --module a WebAssembly module of the host, which then is
PROGRAM's place. It has the first process's environment, is that one's child in a
session of its own, and ends with this command.

The exit code is the program's; 128+n if signal n ended it, 134 after a trap, 125 if
stasis failed, 126 if the program cannot be run and 127 if there is none.`,
		Example: `  stasis exec web /bin/ls -l /data
  stasis exec -it web sh
  stasis exec --module busybox.wasm web ls`,
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(1, isRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := completeExec(&o, &p, args[1:]); err != nil {
				return fmt.Errorf("exec: %w", err)
			}
			if o.TTY && (interactive && !hostterm.IsTerminal(0) || !hostterm.IsTerminal(1)) {
				return errors.New("exec: -t needs a terminal on stdin and stdout (use -i alone to give it a file or pipe)")
			}
			o.Stdout, o.Stderr = os.Stdout, os.Stderr
			if interactive {
				o.Stdin = os.Stdin
			}
			s, err := open(cmd.Context(), "exec", args[0])
			if err != nil {
				return err
			}
			return execIn(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringArrayVarP(&p.env, "env", "e", nil, "set a variable of its environment: NAME=VALUE, or NAME for the caller's value")
	f.StringArrayVar(&p.envFiles, "env-file", nil, "set the variables that a file names, a line each")
	f.StringVarP(&o.Dir, "workdir", "w", "", "its working directory; the system's by default")
	f.BoolVarP(&interactive, "interactive", "i", false, "let it read stdin")
	f.BoolVarP(&o.TTY, "tty", "t", false, "give it a terminal")
	f.StringVar(&o.Module, "module", "", "run this module's file of the host; PROGRAM is then its argv[0], its name by default")
	return c
}

// completeExec takes what is to be run, and its arguments.
func completeExec(o *stasis.ExecOptions, p *programFlags, args []string) (err error) {
	if o.Args = args; len(args) == 0 {
		if o.Module == "" {
			return errors.New("no program is named (name a path in the system, or --module FILE)")
		}
		o.Args = []string{filepath.Base(o.Module)}
	}
	if o.Dir != "" && !filepath.IsAbs(o.Dir) {
		return fmt.Errorf("working directory %s: want an absolute path of the guest", o.Dir)
	}
	o.Env, err = p.environment()
	return err
}

// execIn runs a process in a system, and exits as it does.
func execIn(ctx context.Context, s *stasis.System, o stasis.ExecOptions) error {
	var x stasis.Exit
	err := withTerminal(o.AttachOptions, o.TTY, func(a stasis.AttachOptions) (err error) {
		o.AttachOptions = a
		x, err = s.Exec(ctx, o)
		return err
	})
	if err != nil {
		return launchError(err)
	}
	switch {
	case x.Error != "":
		fmt.Fprintf(os.Stderr, "stasis: %s: %s: %s\n", s.Name(), oneLine(o.Args[0]), x.Error)
	case x.Trap != "":
		fmt.Fprintf(os.Stderr, "stasis: %s: %s: trap: %s\n", s.Name(), oneLine(o.Args[0]), x.Trap)
	}
	if x.Code != 0 {
		return &exitError{code: x.Code}
	}
	return nil
}
