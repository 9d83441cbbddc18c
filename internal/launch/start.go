package launch

import (
	"os/exec"

	"github.com/stasis-run/stasis/internal/jail"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// start starts a process in as much of a jail as a parent can make, and notes in
// given what that was.
func start(mode string, p jail.Policy, given *sandbox.Given, command func() *exec.Cmd) (*exec.Cmd, error) {
	if mode == sandbox.JailOff {
		cmd := command()
		return cmd, cmd.Start()
	}
	cmd, g, err := jail.Start(p, command)
	*given = sandbox.GivenOf(g)
	return cmd, err
}
