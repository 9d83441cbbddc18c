package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func compileCommand() *cobra.Command {
	var jail, emit string
	c := &cobra.Command{
		Use:   "compile [flags] FILE...",
		Short: "Compile modules ahead of time",
		Long: `Compile modules into the cache, so that run, create and restore find their code
there. They do it by themselves otherwise. What is there already is left. On a
terminal, or with --progress, the stages are shown: a module is rewritten, so that
it can be stopped, and compiled.

--emit-wasm writes what modules are rewritten to: to a file, or if it is a directory
(or ends with a slash), to NAME.hot.wasm in there.`,
		Example: `  stasis compile python.wasm
  stasis compile --emit-wasm hot/ python.wasm sqlite.wasm`,
		Args: arguments(1, -1),
		ValidArgsFunction: func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
			return moduleFiles(c, nil, s)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setJail(jail); err != nil {
				return fmt.Errorf("compile: %w", err)
			}
			targets, err := emitTargets(emit, args)
			if err != nil {
				return fmt.Errorf("compile: %w", err)
			}
			return each(args, func(name string) error {
				if err := compileFile(cmd.Context(), name, targets[name]); err != nil {
					return err
				}
				_, err := fmt.Println(name)
				return err
			})
		},
	}
	c.Flags().StringVar(&emit, "emit-wasm", "", "write the rewritten modules to this file or directory")
	_ = c.MarkFlagFilename("emit-wasm") // the flag is there
	addJail(c, &jail)
	return c
}

// compileFile compiles a module, and writes its rewritten form to a file if that
// has a name.
func compileFile(ctx context.Context, name, target string) error {
	if target == "" {
		_, err := host.Compile(ctx, name)
		return compileError(name, err)
	}
	hot, err := host.HotForm(ctx, name)
	if err != nil {
		return compileError(name, err)
	}
	return as("compile", writeWhole(target, hot))
}

func compileError(name string, err error) error {
	if err == nil {
		return nil
	}
	if _, stat := os.Stat(name); stat == nil && stasis.KindOf(err) == stasis.NotFound {
		return err // it is the cache that is not there
	}
	return launchError(err)
}

// emitTargets says where the rewritten form of each module goes.
func emitTargets(emit string, modules []string) (map[string]string, error) {
	if emit == "" {
		return nil, nil
	}
	st, err := os.Stat(emit)
	isDir := err == nil && st.IsDir() || strings.HasSuffix(emit, "/")
	if !isDir && len(modules) > 1 {
		return nil, fmt.Errorf("--emit-wasm %s: it is one file for %d modules (name a directory)", emit, len(modules))
	}
	targets := make(map[string]string)
	from := make(map[string]string)
	for _, m := range modules {
		target := emit
		if isDir {
			target = filepath.Join(emit, strings.TrimSuffix(filepath.Base(m), ".wasm")+".hot.wasm")
		}
		if other, ok := from[target]; ok && other != m {
			return nil, fmt.Errorf("--emit-wasm %s: %s and %s would be the same file", emit, other, m)
		}
		targets[m], from[target] = target, m
	}
	if isDir {
		return targets, os.MkdirAll(emit, 0o777)
	}
	return targets, nil
}

// writeWhole writes a file aside and renames it: there is never half of one.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is wrong is said
	}
	return err
}
