package mainjob

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Main builds the command for the tests of a package in a folder of test, has them
// run, and removes it. It returns what the process is to exit with.
func Main(run func() int, stasis *string) int {
	dir, err := os.MkdirTemp("", "stasis-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "no room for the command:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	*stasis = filepath.Join(dir, "stasis")
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", *stasis, "../../cmd/stasis").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the command: %v\n%s", err, out)
		return 1
	}
	return run()
}
