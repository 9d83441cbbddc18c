package cli

import "fmt"

// newProgress makes what shows progress in a mode.
func newProgress(mode string) (func(what string) func(), error) {
	switch mode {
	case "auto", "plain", "json", "none":
		return nil, nil
	}
	return nil, fmt.Errorf("progress %q: want auto, plain, json or none", mode)
}
