package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
)

// grantFlags are the flags by which a caller gives a system of the host. run
// and restore share them.
type grantFlags struct {
	name        string
	detach      bool
	dirs        []string
	listen      []string
	interactive bool
	tty         bool
	policy      string
	timeout     time.Duration
	memory      string
	noCache     bool
	stress      string
}

func (g *grantFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.name, "name", "", "name of the system; a random one by default")
	f.BoolVarP(&g.detach, "detach", "d", false, "run in the background and print the name")
	f.StringArrayVar(&g.dirs, "dir", nil, "give the guest a directory: HOST[:GUEST][:ro]")
	f.StringArrayVar(&g.listen, "listen", nil, "give the guest a listening socket: tcp:HOST:PORT")
	f.BoolVarP(&g.interactive, "interactive", "i", false, "let the guest read stdin")
	f.BoolVarP(&g.tty, "tty", "t", false, "give the guest this terminal (needs one)")
	f.StringVar(&g.policy, "files", "reopen", "host files that changed since they were saved: reopen, strict or stale")
	f.DurationVar(&g.timeout, "timeout", 0, "end the guest after this time, such as 30s")
	f.StringVarP(&g.memory, "memory", "m", "", "limit of the guest's memory, such as 256m")
	f.BoolVar(&g.noCache, "no-cache", false, "neither use nor fill the cache of compiled code")
	f.StringVar(&g.stress, "stress", "", "for tests: unwind=N or checkpoint=N, at every N-th safepoint")
}

// config makes what the flags say of it.
func (g *grantFlags) config() (c sandbox.Config, err error) {
	c.Name, c.Named, c.Listen, c.Interactive, c.Timeout = g.name, g.name != "", g.listen, g.interactive, g.timeout
	if c.Name == "" {
		c.Name = sandbox.RandomName()
	}
	if err := sandbox.CheckName(c.Name); err != nil {
		return c, err
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("timeout %v: want a time such as 30s", c.Timeout)
	}
	for _, l := range c.Listen {
		if err := checkListen(l); err != nil {
			return c, err
		}
	}
	for _, d := range g.dirs {
		dir, err := sandbox.ParseDir(d)
		if err != nil {
			return c, err
		}
		c.Dirs = append(c.Dirs, dir)
	}
	if c.Policy, err = hostfs.ParsePolicy(g.policy); err != nil {
		return c, err
	}
	if c.Memory, err = parseSize(g.memory); err != nil {
		return c, err
	}
	if g.tty {
		if !isTerminal(0) || !isTerminal(1) {
			return c, errors.New("-t needs a terminal on stdin and stdout (use -i alone to give it a file or pipe)")
		}
		c.Interactive, c.TTY = true, true
	}
	if g.detach && (g.interactive || g.tty) {
		return c, errors.New("-d and -i, -t do not go together: a detached system has no stdin")
	}
	if err := parseStress(g.stress, &c); err != nil {
		return c, err
	}
	if !g.noCache {
		c.Cache = cacheDir()
	}
	return c, nil
}

// cacheDir is where compiled code is kept, or "" if there is no place.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "stasis", "code")
}

func runCommand() *cobra.Command {
	var g grantFlags
	var env []string
	var workdir, invoke string
	c := &cobra.Command{
		Use:   "run [flags] FILE.wasm [ARGS]",
		Short: "Run a program",
		Long: `Run a WebAssembly program (WASI preview 1) as a system of its own.

The exit code is the program's; 128+n if signal n ended it, 134 after a trap,
124 after --timeout, 125 if stasis failed, 126 if the file cannot be run and
127 if there is none.`,
		Example: `  stasis run hello.wasm
  stasis run --dir .:/work -w /work python.wasm script.py
  stasis run -d --name job long.wasm
  stasis run --invoke fib fib.wasm 30`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := g.config()
			if err != nil {
				return fmt.Errorf("run: %w", err)
			}
			if cfg.File, err = existing("run", args[0], false, "name a .wasm file"); err != nil {
				return err
			}
			if cfg.Env, err = expandEnv(env); err != nil {
				return fmt.Errorf("run: %w", err)
			}
			cfg.Workdir, cfg.Invoke = workdir, invoke
			if workdir != "" && !filepath.IsAbs(workdir) {
				return fmt.Errorf("run: working directory %s: want an absolute path of the guest", workdir)
			}
			cfg.Args = append([]string{filepath.Base(args[0])}, args[1:]...)
			if invoke != "" {
				cfg.Args, cfg.Params = cfg.Args[:1], args[1:]
			}
			info := sandbox.Info{Name: cfg.Name, Program: cfg.File, Args: cfg.Args, Detach: g.detach}
			return launch(cmd.Context(), cfg, info)
		},
	}
	g.add(c)
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringArrayVarP(&env, "env", "e", nil, "set a variable of the guest's environment: NAME=VALUE, or NAME for the caller's value")
	f.StringVarP(&workdir, "workdir", "w", "", "the guest's working directory")
	f.StringVar(&invoke, "invoke", "", "call this exported function, with ARGS for arguments, and print its results")
	return c
}

// expandEnv gives variables without a value the caller's, if that has one.
func expandEnv(env []string) (out []string, err error) {
	for _, e := range env {
		name, _, ok := strings.Cut(e, "=")
		if name == "" {
			return nil, fmt.Errorf("environment %q: want NAME=VALUE or NAME", e)
		}
		if !ok {
			value, set := os.LookupEnv(name)
			if !set {
				continue
			}
			e = name + "=" + value
		}
		out = append(out, e)
	}
	return out, nil
}

// existing is the absolute path of a file or directory that op is given; hint
// says what to do if it is not there or something else.
func existing(op, name string, dir bool, hint string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	noun, kind := "file", "regular file"
	if dir {
		noun, kind = "directory", "directory"
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &exitError{exitNotFound, fmt.Errorf("%s %s: no such %s (%s)", op, name, noun, hint)}
	case err != nil:
		return "", &exitError{exitCannot, fmt.Errorf("%s %s: %w", op, name, err)}
	case st.IsDir() != dir, !dir && !st.Mode().IsRegular():
		return "", &exitError{exitCannot, fmt.Errorf("%s %s: it is not a %s (%s)", op, name, kind, hint)}
	}
	return path, nil
}

// launch runs a system here, or in the background.
func launch(ctx context.Context, cfg sandbox.Config, info sandbox.Info) error {
	store, err := sandbox.DefaultStore()
	if err != nil {
		return err
	}
	if info.Detach {
		ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
		defer stop()
		if err := sandbox.Detach(ctx, store, cfg, info); err != nil {
			if ctx.Err() != nil {
				return &exitError{code: exitInterrupted}
			}
			return launchError(cfg, err)
		}
		_, err := fmt.Println(cfg.Name)
		return err
	}
	e, err := store.Create(cfg.Name)
	if err != nil {
		return launchError(cfg, err)
	}
	x, err := sandbox.RunHere(ctx, e, cfg, info, greet(cfg))
	// A system in the foreground has told its story; its name is free again.
	if rmErr := e.Remove(); err == nil {
		err = rmErr
	}
	if err != nil {
		return launchError(cfg, err)
	}
	if x.Checkpoint != "" {
		if cfg.TTY {
			// What was typed and not yet read is not for the shell.
			_ = unix.IoctlSetInt(0, unix.TCFLSH, unix.TCIFLUSH)
			fmt.Fprintln(os.Stderr)
		}
		fmt.Fprintf(os.Stderr, "stasis: %s: saved to %s and stopped\n", cfg.Name, x.Checkpoint)
	}
	if x.Code != 0 {
		return &exitError{code: x.Code}
	}
	return nil
}

// slow is how long a start may take before a user at a terminal is told why.
const slow = time.Second

// greet tells a user at a terminal what is going on. The function it returns is
// to be called when the system runs.
func greet(cfg sandbox.Config) (ready func()) {
	if !isTerminal(2) {
		return nil
	}
	t := time.AfterFunc(slow, func() {
		fmt.Fprintf(os.Stderr, "stasis: %s: compiling; the next start finds the result in the cache\n", cfg.Name)
	})
	return func() {
		t.Stop()
		if cfg.Image != "" && cfg.TTY {
			fmt.Fprintf(os.Stderr, "stasis: %s: restored, go on typing\n", cfg.Name)
		}
	}
}

// launchError names the operation and the object of a system that never ran.
func launchError(cfg sandbox.Config, err error) error {
	err = sandbox.Advise(err)
	if cfg.Image != "" {
		err = fmt.Errorf("restore: %w", err)
	} else {
		err = fmt.Errorf("run %s: %w", filepath.Base(cfg.File), err)
	}
	if sandbox.CannotRun(err) {
		return &exitError{exitCannot, err}
	}
	return err
}
