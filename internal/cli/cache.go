package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/spec"
)

func cacheCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "The cache of compiled code",
		Long: `The cache keeps the native code of modules, so that they start at once. It lies
below $XDG_CACHE_HOME or ~/.cache, and can be removed at any time. Whoever adds to it
removes what was used longest ago, so that it has at most --cache-size.`,
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
of the module; NAME is the file's that it was compiled from first. ENGINE is the
version of the engine and that of the pass: code of others is of no use any more.`,
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
			return printRows(cmd, o, os.Stdout, []string{"KEY", "NAME", "ENGINE", "SIZE", "USED"}, all, func(e *stasis.CacheEntry) []string {
				engine := "-" // of an earlier version, which did not say
				if e.Engine != "" {
					engine = fmt.Sprintf("%s-v%d", e.Engine, e.Pass)
				}
				return []string{cutID(e.Key, noTrunc), cmp.Or(e.Name, "-"), engine, sizeText(e.Size), agoText(e.Used)}
			})
		},
	}
	c.Flags().BoolVar(&noTrunc, "no-trunc", false, "print keys whole")
	addFormat(c, &format, formatUsage)
	return c
}

const (
	cacheSizeVar     = "STASIS_CACHE_SIZE" // --cache-size for all commands
	defaultCacheSize = "4g"                // stasis.DefaultCacheSize
)

// parseCacheSize reads --cache-size or, if that is empty, the environment's.
func parseCacheSize(flag string) (int64, error) {
	from := "--cache-size"
	if flag == "" {
		flag, from = os.Getenv(cacheSizeVar), cacheSizeVar
	}
	switch flag {
	case "":
		return 0, nil
	case "none":
		return -1, nil
	}
	n, err := spec.ParseSize(flag)
	if err == nil && n <= 0 {
		err = fmt.Errorf("size %q: want more than nothing", flag)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w (a number of bytes such as 500m, or none)", from, err)
	}
	return n, nil
}

func cachePruneCommand() *cobra.Command {
	var size string
	var all bool
	c := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove what was used longest ago",
		Long: `Remove entries, those used longest ago first, until the rest fits --max-size; print
their keys. A running system has its code already and does not mind; what is being
loaded this moment stays. Whoever compiles does the same with --cache-size.`,
		Example: `  stasis cache prune --max-size 500m
  stasis cache prune --all`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit, err := pruneLimit(size, all)
			if err != nil {
				return fmt.Errorf("cache prune: %w", err)
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
	c.Flags().StringVar(&size, "max-size", "", "bytes that may stay, such as 500m; those of --cache-size by default")
	c.Flags().BoolVarP(&all, "all", "a", false, "remove all")
	return c
}

// pruneLimit is how much may stay.
func pruneLimit(size string, all bool) (int64, error) {
	switch {
	case all:
		return 0, nil
	case size != "":
		return spec.ParseSize(size)
	case host.CacheSize < 0:
		return math.MaxInt64, nil
	case host.CacheSize == 0:
		return stasis.DefaultCacheSize, nil
	}
	return host.CacheSize, nil
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
