package sandbox

import (
	"os"

	"github.com/stasis-run/stasis/internal/jail"
)

// ProbeCommand is the first argument of a process that is jailed to see how far
// that goes.
const ProbeCommand = "probe-child"

// ProbeMain is that process. It does not return.
func ProbeMain() {
	if jail.ProbeChild(os.Stdin, os.Stdout) != nil {
		os.Exit(CodeFailed)
	}
	os.Exit(0)
}

// LayersOf says for users which layers of the jail hold.
func LayersOf(r jail.Report) (layers []Layer) {
	for _, s := range r {
		layers = append(layers, Layer{Name: string(s.Layer), Held: s.Held, Why: s.Why})
	}
	return layers
}
