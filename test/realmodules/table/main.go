// Table prints doc/modules.md from the results that the test of package
// realmodules recorded.
//
//	go run ./table [-results testdata/results.json] [-o FILE]
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/stasis-run/stasis/test/realmodules"
)

func main() {
	results := flag.String("results", "testdata/results.json", "what the test wrote")
	out := flag.String("o", "", "write to this file instead of stdout")
	flag.Parse()
	if err := run(*results, *out); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(results, out string) error {
	list, err := realmodules.Read(results)
	if err != nil {
		return err
	}
	if out == "" {
		_, err = os.Stdout.WriteString(realmodules.Table(list))
		return err
	}
	return os.WriteFile(out, []byte(realmodules.Table(list)), 0o644)
}
