// Make makes the corpus: images of all cases below a directory that has none of
// them yet.
//
//	go run ./test/crossversion/make test/crossversion/v1
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/test/crossversion"
)

func main() {
	guests := flag.String("guests", "test/crossversion/guests", "directory of the modules")
	only := flag.String("case", "", "make this one only")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *guests, *only); err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

func run(dir, guests, only string) error {
	kernel.OwnCollector()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range crossversion.Cases {
		c := &crossversion.Cases[i]
		if only != "" && c.Name != only {
			continue
		}
		if err := c.Make(ctx, dir, guests); err != nil {
			return err
		}
		fmt.Println(c.Name)
	}
	return nil
}
