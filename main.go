package stasis

import (
	"os"

	"github.com/stasis-run/stasis/internal/sandbox"
)

// selfHosting reports whether this program calls SandboxMain.
var selfHosting bool

// SandboxMain makes this program one that can host systems. It is called first
// in main, before anything else is done: in a process that was started to host a
// system, it does that and does not return.
func SandboxMain() {
	selfHosting = true
	if len(os.Args) != 2 {
		return
	}
	switch os.Args[1] {
	case sandbox.ChildCommand:
		sandbox.Main()
	case sandbox.CompileCommand:
		sandbox.CompileMain()
		os.Exit(0)
	case sandbox.ProbeCommand:
		sandbox.ProbeMain()
	}
}
