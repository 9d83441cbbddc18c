package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/spec"
)

func compileCommand() *cobra.Command {
	var jail string
	c := &cobra.Command{
		Use:   "compile [flags] FILE...",
		Short: "Compile modules ahead of time",
		Long: `Compile modules into the cache, so that run, create and restore find their code
there. They do it by themselves otherwise. What is there already is left.`,
		Example: "  stasis compile python.wasm",
		Args:    arguments(1, -1),
		ValidArgsFunction: func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
			return moduleFiles(c, nil, s)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setJail(jail); err != nil {
				return fmt.Errorf("compile: %w", err)
			}
			return each(args, func(name string) error {
				_, err := host.Compile(cmd.Context(), name)
				if err == nil {
					_, err = fmt.Println(name)
					return err
				}
				if _, stat := os.Stat(name); stat == nil && stasis.KindOf(err) == stasis.NotFound {
					return err // it is the cache that is not there
				}
				return launchError(err)
			})
		},
	}
	addJail(c, &jail)
	return c
}

func cacheCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "The cache of compiled code",
		Long: `The cache keeps the native code of modules, so that they start at once. It lies
below $XDG_CACHE_HOME or ~/.cache, and can be removed at any time.`,
		Example: `  stasis cache ls
  stasis cache prune --max-size 1g`,
		Args: unknownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(cacheLsCommand(), cachePruneCommand(), cacheVerifyCommand())
	return c
}

func cacheLsCommand() *cobra.Command {
	var format string
	var noTrunc bool
	c := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List what is in the cache",
		Long: `List what is in the cache, what was used last first. A key begins with the SHA-256
of the module.`,
		Example:           "  stasis cache ls --no-trunc",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			all, err := host.CacheEntries(cmd.Context())
			if err != nil {
				return as("cache ls", err)
			}
			return printRows(cmd, o, os.Stdout, []string{"KEY", "SIZE", "USED"}, all, func(e *stasis.CacheEntry) []string {
				return []string{cutID(e.Key, noTrunc), sizeText(e.Size), agoText(e.Used)}
			})
		},
	}
	c.Flags().BoolVar(&noTrunc, "no-trunc", false, "print keys whole")
	addFormat(c, &format, formatUsage)
	return c
}

// defaultCacheSize is what prune leaves without --max-size.
const defaultCacheSize = "4g"

func cachePruneCommand() *cobra.Command {
	var size string
	var all bool
	c := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove what was used longest ago",
		Long: `Remove entries, those used longest ago first, until the rest fits --max-size; print
their keys. A running system has its code already and does not mind.`,
		Example: `  stasis cache prune --max-size 500m
  stasis cache prune --all`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit, err := spec.ParseSize(size)
			if err != nil || size == "" {
				return fmt.Errorf("cache prune: %w", errors.Join(err, errIf(size == "", "an empty size: want a number of bytes such as 500m")))
			}
			if all {
				limit = 0
			}
			removed, err := host.PruneCache(cmd.Context(), limit)
			for _, e := range removed {
				if _, err := fmt.Println(e.Key); err != nil {
					return err
				}
			}
			return as("cache prune", err)
		},
	}
	c.Flags().StringVar(&size, "max-size", defaultCacheSize, "bytes that may stay, such as 500m")
	c.Flags().BoolVarP(&all, "all", "a", false, "remove all")
	return c
}

func errIf(cond bool, text string) error {
	if cond {
		return errors.New(text)
	}
	return nil
}

func cacheVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Read the cache whole and compare it with its digests",
		Long: `Read all that is in the cache and compare it with the digests that were noted when
it was made. This finds what a disk has spoilt. Code that is damaged is found
when it is used, too, and made anew.`,
		Example:           "  stasis cache verify",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := host.CacheEntries(cmd.Context())
			if err != nil {
				return as("cache verify", err)
			}
			defer host.Progress("verifying")()
			var errs []error
			for _, e := range all {
				errs = append(errs, as("cache verify", host.VerifyCache(cmd.Context(), e)))
			}
			return errors.Join(errs...)
		},
	}
}
