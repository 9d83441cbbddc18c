//go:build !linux

package jail

import (
	"os/exec"
	"runtime"
)

// Start starts the process, which is given nothing: only Linux has a jail.
func Start(_ Policy, command func() *exec.Cmd) (*exec.Cmd, Given, error) {
	cmd := command()
	return cmd, Given{Why: why()}, cmd.Start()
}

// Enter does nothing and reports each layer as missing.
func Enter(Policy, Given) (Report, error) {
	var r Report
	for _, l := range Layers {
		r.missing(l, why())
	}
	return r, nil
}

func why() string { return "not on " + runtime.GOOS }
