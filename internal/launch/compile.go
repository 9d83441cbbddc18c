package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// Compile finds a module's code in the cache, or has a jailed helper compile it.
// A cache that cannot be written costs time later, and is no error: the
// code is then nil.
func Compile(ctx context.Context, p *Plan, module *os.File) (*Code, error) {
	c, err := Fill(ctx, p, module)
	if err != nil && fault.KindOf(err) == fault.Internal && ctx.Err() == nil {
		return nil, nil
	}
	return c, err
}

// A Code is a module's code in the cache. It is not removed until it is released.
type Code struct {
	*codecache.Use
	Module [32]byte // digest
}

// HotForm is the rewritten module.
func (c *Code) HotForm() ([]byte, error) { return sandbox.HotForm(c.Dir, c.Module) }

// Fill is Compile, but says why a cache cannot be written.
func Fill(ctx context.Context, p *Plan, module *os.File) (*Code, error) {
	digest, err := p.Cache.Digest(module)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	key := keyOf(digest, &p.System.Spec)
	if u, ok := p.Cache.Get(key); ok {
		return &Code{u, digest}, nil
	}
	if p.Stage != nil {
		p.Stage("rewriting")
		defer p.Stage("")
	}
	about := codecache.About{Name: filepath.Base(module.Name()), Module: fmt.Sprintf("%x", digest)}
	u, err := p.Cache.Fill(ctx, key, about, func(ctx context.Context, dir string) error {
		_, err := compile(ctx, p, module, sandbox.CompileSetup{Out: dir, Jail: p.Jail, Counted: key.Counted})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Code{u, digest}, nil
}

// compile runs the helper.
func compile(ctx context.Context, p *Plan, module *os.File, setup sandbox.CompileSetup) (r sandbox.Report, err error) {
	seed, err := spawn(p.Jail, func(theirs *os.File) *exec.Cmd {
		cmd := exec.CommandContext(ctx, p.Executable, sandbox.CompileCommand)
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.SysProcAttr = attributes(true)
		return cmd
	})
	if err != nil {
		return r, err
	}
	defer seed.conn.Close()
	setup.Given = seed.given
	err = seed.conn.Send(&setup, module)
	if err == nil {
		r, err = awaitCompiled(p, seed)
	}
	waited := seed.cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case err != nil:
		return r, fault.New(fault.UnexpectedExit, "the process that compiles it ended: %v", waited)
	}
	return r, r.Fault.Err()
}

// awaitCompiled waits for the helper's answer. Before that it may say anything, as
// often as it likes; only that it has begun to compile counts.
func awaitCompiled(p *Plan, seed *Seed) (sandbox.Report, error) {
	for {
		var r sandbox.Report
		files, err := seed.conn.Receive(&r)
		for _, f := range files {
			f.Close()
		}
		if err != nil || r.Stage == "" {
			return r, err
		}
		if p.Stage != nil && r.Stage == "compiling" {
			p.Stage(r.Stage)
		}
	}
}
