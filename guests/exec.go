package guests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A command is an external program to run. None runs without a deadline.
type command struct {
	dir     string
	env     []string // added to the environment
	argv    []string
	timeout time.Duration // 0 is five minutes
}

// run runs a command and returns its stdout. Its error ends in the last lines
// that the command wrote.
func (c command) run(ctx context.Context) ([]byte, error) {
	timeout := c.timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	name := filepath.Base(c.argv[0])
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s: no end after %v", name, timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	killGroup(cmd)
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(out.String()+errs.String()), "\n")
	if len(lines) > 12 {
		lines = lines[len(lines)-12:]
	}
	return nil, fmt.Errorf("%s: %w: %s", name, err, strings.Join(lines, "; "))
}
