// Helper saves and wakes programs of package guests, in its own process, for
// package portable, which builds it for two architectures.
//
//	helper save GUEST MODULE DIR
//	helper wake GUEST MODULE DIR
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/test/crossversion"
)

// after is how long a program runs before it is saved, at most.
const after = 300 * time.Millisecond

func main() {
	kernel.OwnCollector()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments", len(args))
	}
	g, err := guests.Lookup(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	switch args[0] {
	case "save":
		return crossversion.SaveProgram(ctx, &g, args[2], args[3], after)
	case "wake":
		return crossversion.WakeProgram(ctx, &g, args[2], args[3])
	}
	return fmt.Errorf("%s: what is that?", args[0])
}
