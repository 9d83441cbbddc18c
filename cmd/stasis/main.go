// Command stasis runs WebAssembly programs as compute systems: processes that can
// be stopped at any moment, saved, and woken again.
package main

import (
	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/cli"
)

func main() {
	stasis.SandboxMain()
	cli.Main()
}
