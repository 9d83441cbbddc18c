package launch

import (
	"context"
	"os/exec"

	"github.com/stasis-run/stasis/internal/jail"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// Probe says how far this host would jail a system, by jailing a process that
// does nothing.
func Probe(ctx context.Context, executable string) ([]sandbox.Layer, error) {
	report, err := jail.Probe(jail.Policy{Sockets: true, Drop: true}, func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, executable, sandbox.ProbeCommand)
		cmd.Env, cmd.Dir = environment(), "/"
		return cmd
	})
	return sandbox.LayersOf(report), err
}
