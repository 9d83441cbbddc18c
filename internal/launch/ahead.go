package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
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
	if places = missing(u, places); len(places) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience+killAfter)
	defer cancel()
	err = p.Cache.Extend(ctx, u, func(ctx context.Context, out string) (made []string, err error) {
		if p.Stage != nil {
			p.Stage("preparing")
		}
		all := false
		p := *p
		p.Stage = func(what string) { all = all || what == sandbox.StageAll }
		err = compile(ctx, &p, f, sandbox.CompileSetup{
			Out: out, Jail: p.Jail, Counted: p.System.Spec.Stress() > 0, Places: places, Entry: u.Dir, Patience: int64(patience),
		})
		if err != nil || !all { // else the next checkpoint goes on
			return nil, err
		}
		return notes(places), nil
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

// notes are lines that stand for places.
func notes(places []control.Place) (out []string) {
	for _, p := range places {
		out = append(out, fmt.Sprintf("%d %d", p.Func, p.Pos))
	}
	return out
}

// missing are the places, of at most control.MaxPlaces, that an entry has not.
func missing(u *codecache.Use, places []control.Place) (out []control.Place) {
	places = places[:min(len(places), control.MaxPlaces)]
	left := u.Noted(notes(places))
	for i, n := range notes(places) {
		if slices.Contains(left, n) {
			out = append(out, places[i])
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
