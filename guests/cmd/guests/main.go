// Guests fetches and builds guest programs into the user's cache and prints a
// line for each: name, path, size, sha256, where it comes from.
//
//	go run ./guests/cmd/guests [-list] [-best-effort] [-asyncify] [-dir DIR] [-timeout D] [NAME…]
//
// Without names it gets all but the extra ones, which are large downloads.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/stasis-run/stasis/guests"
)

func main() {
	list := flag.Bool("list", false, "list the guests and get none")
	best := flag.Bool("best-effort", false, "exit 0 also if some guests cannot be had here")
	asyncify := flag.Bool("asyncify", false, "make the Asyncify variants too")
	dir := flag.String("dir", "", "use this cache instead of the user's")
	timeout := flag.Duration("timeout", 30*time.Minute, "give up after this")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: guests [flags] [NAME...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		for _, g := range slices.Concat(guests.All(), guests.Toolchains(), guests.Programs()) {
			extra := ""
			if g.Extra {
				extra = " (extra)"
			}
			fmt.Printf("%-11s %s%s\n            %s; %s\n", g.Name, g.About, extra, g.Source, g.License)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	cache, err := guests.DefaultCache()
	if *dir != "" {
		cache, err = &guests.Cache{Dir: *dir}, nil
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cache.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "guests: "+format+"\n", args...) }
	if !get(ctx, cache, flag.Args(), *asyncify, *best) {
		os.Exit(1)
	}
}

// get reports whether all went well, or as well as is asked.
func get(ctx context.Context, cache *guests.Cache, names []string, asyncify, best bool) bool {
	if len(names) == 0 {
		for _, g := range slices.Concat(guests.All(), guests.Toolchains(), guests.Programs()) {
			if !g.Extra {
				names = append(names, g.Name)
			}
		}
	}
	got, ok := 0, true
	failed := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		if !best || !guests.IsUnavailable(err) {
			ok = false
		}
	}
	for _, name := range names {
		g, err := guests.Lookup(name)
		if err != nil {
			failed(err)
			continue
		}
		path, err := cache.Path(ctx, name)
		if err != nil {
			failed(err)
			continue
		}
		got++
		if err := line(name, path, g.Source); err != nil {
			failed(err)
		}
		if !asyncify || g.NoAsyncify != "" {
			continue
		}
		if path, err = cache.Asyncified(ctx, name); err != nil {
			failed(err)
		} else if err := line(name+"+asyncify", path, g.Source); err != nil {
			failed(err)
		}
	}
	fmt.Fprintf(os.Stderr, "guests: %d of %d had\n", got, len(names))
	return ok
}

func line(name, path, source string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	sum, err := guests.Digest(path)
	if err != nil {
		return err
	}
	fmt.Printf("%-11s %s %d %s %s\n", name, path, fi.Size(), sum, source)
	return nil
}
