package crossversion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
)

// programDir is where a program has its scripts.
const programDir = "/host"

// beforeFile has what a program wrote before it was saved.
const beforeFile = "before"

// SaveProgram runs one of package guests, of which module is the program, and
// saves it to dir after a while.
func SaveProgram(ctx context.Context, g *guests.Guest, module, dir string, after time.Duration) error {
	host := filepath.Join(dir, hostDir)
	if err := os.MkdirAll(host, 0o700); err != nil {
		return err
	}
	if err := g.Place(host); err != nil {
		return err
	}
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	sp := spec.Spec{Version: spec.Version, Module: module, Args: []string{g.Name}, Env: g.Env}
	for _, a := range g.QuickArgs {
		for _, file := range g.Files {
			a = strings.ReplaceAll(a, file.Path, programDir+file.Path)
		}
		sp.Args = append(sp.Args, a)
	}
	for ; after >= time.Millisecond; after /= 2 {
		m := newMachine(false)
		m.stdin = strings.NewReader(g.Stdin)
		err = m.boot(ctx, sandbox.Options{Name: g.Name, Spec: sp, Module: f}, programDir, host)
		if err == nil {
			m.start(ctx)
			time.Sleep(after)
			err = m.save(ctx, filepath.Join(dir, imageDir), true) // or it ends while the module is written
		}
		before := m.output()
		m.close()
		if !errors.Is(err, kernel.ErrExiting) {
			return errors.Join(err, os.WriteFile(filepath.Join(dir, beforeFile), []byte(before), 0o600))
		}
		err = fmt.Errorf("it ends too early: %w: %q", err, before)
	}
	return err
}

// WakeProgram goes on with what SaveProgram has saved, and compares all that the
// program wrote with what it writes when left alone.
func WakeProgram(ctx context.Context, g *guests.Guest, module, dir string) error {
	before, err := os.ReadFile(filepath.Join(dir, beforeFile))
	if err != nil {
		return err
	}
	im, err := image.Open(image.OS, filepath.Join(dir, imageDir))
	if err != nil {
		return err
	}
	defer im.Close()
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	m := newMachine(false)
	defer m.close()
	m.stdin = strings.NewReader("")
	o := sandbox.Options{Image: im, Module: f, Spec: spec.Spec{Version: spec.Version, Image: dir}}
	if err := m.boot(ctx, o, programDir, filepath.Join(dir, hostDir)); err != nil {
		return err
	}
	m.start(ctx)
	exit, err := m.wait()
	switch got := string(before) + m.output(); {
	case err != nil:
		return err
	case exit != "exit 0":
		return errors.New(exit)
	case got != g.WantQuick:
		return fmt.Errorf("wrote %q, %d bytes of it before the save, want %q", got, len(before), g.WantQuick)
	}
	return nil
}
