package launch

import (
	"os/exec"

	"github.com/stasis-run/stasis/internal/sandbox"
)

// start starts the host process.
func (o *opening) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes(o.setup.Direct)
	return cmd.Start()
}

// startCompiler starts a compile helper.
func startCompiler(cmd *exec.Cmd, _ *sandbox.CompileSetup) error {
	cmd.SysProcAttr = attributes(true)
	return cmd.Start()
}
