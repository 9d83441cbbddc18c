package sandbox

import (
	"fmt"
	"strconv"

	"github.com/stasis-run/stasis/internal/jail"
	"github.com/stasis-run/stasis/internal/spec"
)

// Modes of the jail.
const (
	JailOn     = "on"     // as far as the host allows
	JailStrict = "strict" // completely, or not at all
	JailOff    = "off"
)

// A Given is what the parent could give the process: jail.Given.
type Given struct {
	User        bool     `pb:"1"`
	Namespaces  []string `pb:"2,text"`
	Why         string   `pb:"3"`
	DeathSignal int32    `pb:"4"`
}

// GivenOf makes a message of g.
func GivenOf(g jail.Given) Given {
	out := Given{User: g.User, Why: g.Why, DeathSignal: int32(g.DeathSignal)}
	for _, n := range g.Namespaces {
		out.Namespaces = append(out.Namespaces, string(n))
	}
	return out
}

func (g *Given) jail() jail.Given {
	out := jail.Given{User: g.User, Why: g.Why, DeathSignal: int(g.DeathSignal)}
	for _, n := range g.Namespaces {
		out.Namespaces = append(out.Namespaces, jail.Layer(n))
	}
	return out
}

// private reports whether the process has a tree of mounts of its own. Without
// one, another user than the caller could not reach the code cache.
func (g *Given) private() bool {
	for _, n := range g.Namespaces {
		if n == string(jail.MountNS) {
			return true
		}
	}
	return false
}

// policy is what the process of a system may keep: what it opened itself, and what
// came over the connection, is kept in any case.
func (h *host) policy() jail.Policy {
	s := h.setup
	p := jail.Policy{Sockets: true, Drop: len(s.Spec.Dirs) == 0 && s.Given.private()}
	for i, d := range s.Spec.Dirs {
		f := h.files[RoleDir+strconv.Itoa(i)]
		p.Dirs = append(p.Dirs, jail.Dir{FD: int(f.Fd()), Writable: d.Writable()})
	}
	if s.Cache != "" {
		p.Read = []string{s.Cache}
	}
	return p
}

// shut gives up all that the process does not need.
func (h *host) shut() (err error) {
	p := h.policy()
	h.jail, err = enter(h.setup.Jail, p, h.setup.Given)
	return err
}

// enter shuts the jail in a mode.
func enter(mode string, p jail.Policy, given Given) ([]Layer, error) {
	if mode == JailOff {
		return nil, nil
	}
	report, err := jail.Enter(p, given.jail())
	layers := LayersOf(report)
	if err == nil && mode == JailStrict {
		err = strict(layers)
	}
	return layers, err
}

// policy is what a process that compiles may keep.
func (s *CompileSetup) policy() jail.Policy {
	p := jail.Policy{Write: []string{s.Out}, Drop: s.Given.private()}
	if s.Entry != "" {
		p.Read = []string{s.Entry}
	}
	return p
}

// shutCompiler gives up all that compiling does not need.
func shutCompiler(s *CompileSetup) ([]Layer, error) { return enter(s.Jail, s.policy(), s.Given) }

// newStressFiles makes the files that --stress checkpoint writes to: nothing can
// be made in the jail.
func newStressFiles(s *spec.Spec) (memoryFiles, error) {
	if s.StressCheckpoint == 0 {
		return nil, nil
	}
	var m memoryFiles
	for i := range maxStressFiles {
		f, err := newMemoryFile("stasis-" + strconv.Itoa(i))
		if err != nil {
			m.close()
			return nil, fmt.Errorf("--stress: %w", err)
		}
		m = append(m, f)
	}
	return m, nil
}

// maxStressFiles is how many files an image of --stress can have: config, digest,
// state, and of 32 processes module, pages and page map.
const maxStressFiles = 3 + 3*32
