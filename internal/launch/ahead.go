package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
)

// killAfter is how much longer than it was given a helper may take before it is
// killed, with all that it has made.
const killAfter = 5 * time.Second

// Ahead has a jailed helper compile what the frames of an image go on in, into the
// entry of its module, if there is one: a process that restores it cannot keep what
// it compiles. Places come from the system, and may be anything. It takes about as
// long as patience. Module is the module's file if the image is thin, and may be "".
func Ahead(ctx context.Context, p *Plan, dir, module string, places []control.Place, patience time.Duration) error {
	if len(places) == 0 || p.Cache == nil {
		return nil
	}
	f, digest, err := imageModule(p.Cache, dir, module)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	u, ok := p.Cache.Get(keyOf(digest, &p.System.Spec))
	if !ok {
		return nil
	}
	defer u.Release()
	done := readNotes(u.Notes())
	if places = done.missing(places); len(places) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience+killAfter)
	defer cancel()
	err = p.Cache.Extend(ctx, u, func(ctx context.Context, out string) ([]string, error) {
		if p.Stage != nil {
			p.Stage("preparing")
		}
		r, err := compile(ctx, p, f, sandbox.CompileSetup{
			Out: out, Jail: p.Jail, Counted: p.System.Spec.Stress() > 0,
			Places: places, Entry: u.Dir, Patience: int64(patience), Made: done.made,
		})
		if err != nil {
			return nil, err
		}
		lines := notesOf(noteMade, r.Made[:min(len(r.Made), control.MaxPlaces)])
		if r.All { // else the next checkpoint goes on
			lines = append(lines, notesOf(notePlace, places)...)
		}
		return lines, nil
	})
	if errors.Is(err, codecache.ErrFull) {
		return nil
	}
	return err
}

// keyOf names a module's code for a system.
func keyOf(digest [32]byte, s *spec.Spec) codecache.Key {
	return codecache.Key{Module: digest, Pass: instrument.Version, Engine: sandbox.EngineVersion(), Counted: s.Stress() > 0}
}

// What the notes of an entry say, a line each with a function and a position: that
// frames there have all that they go on in, or that a continuation was made.
const (
	notePlace = "place"
	noteMade  = "made"
)

func notesOf(what string, places []control.Place) (out []string) {
	for _, p := range places {
		out = append(out, fmt.Sprintf("%s %d %d", what, p.Func, p.Pos))
	}
	return out
}

// notes are what was compiled ahead for an entry.
type notes struct {
	places map[control.Place]bool
	made   []control.Place
}

func readNotes(lines []string) notes {
	n := notes{places: make(map[control.Place]bool)}
	for _, l := range lines {
		var what string
		var p control.Place
		if _, err := fmt.Sscanf(l, "%s %d %d", &what, &p.Func, &p.Pos); err != nil {
			continue // of another version
		}
		if what == noteMade {
			n.made = append(n.made, p)
		} else {
			n.places[p] = true
		}
	}
	return n
}

// missing are the places, of at most control.MaxPlaces, that have not all yet.
func (n *notes) missing(places []control.Place) (out []control.Place) {
	for _, p := range places[:min(len(places), control.MaxPlaces)] {
		if !n.places[p] {
			out = append(out, p)
		}
	}
	return out
}

// imageModule opens the module of an image; nil if it cannot be had.
func imageModule(c *codecache.Cache, dir, module string) (f *os.File, digest [32]byte, err error) {
	config, err := image.OpenConfig(image.OS, dir)
	if err != nil || len(config.Modules) == 0 {
		return nil, digest, err
	}
	if config.Thin() {
		if f, err = os.Open(module); err != nil {
			return nil, digest, nil // the image can do without, and so can we
		}
	} else if f, err = openImageModule(dir, config); err != nil {
		return nil, digest, err
	}
	digest, err = c.Digest(f)
	if err != nil || fmt.Sprintf("%x", digest) != config.Modules[0].Digest {
		f.Close()
		return nil, digest, err
	}
	return f, digest, nil
}

// openImageModule opens the module in an image.
func openImageModule(dir string, config image.Config) (*os.File, error) {
	open, err := image.Opener(image.OS, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range config.FileNames() {
		if isModuleFile(name) {
			f, err := open(name)
			if err != nil {
				return nil, fmt.Errorf("image %s: %w", dir, err)
			}
			return image.OSFile(f), nil
		}
	}
	return nil, fmt.Errorf("image %s: no module", dir)
}
