package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// Compile finds a module's code in the cache, or has a jailed helper compile it.
// A cache that cannot be written costs time later, and is no error: the
// directory is then "".
func Compile(ctx context.Context, p *Plan, module *os.File) (dir string, err error) {
	dir, err = Fill(ctx, p, module)
	if err != nil && fault.KindOf(err) == fault.Internal && ctx.Err() == nil {
		return "", nil
	}
	return dir, err
}

// Fill is the same, and says why a cache cannot be written.
func Fill(ctx context.Context, p *Plan, module *os.File) (dir string, err error) {
	digest, err := p.Cache.Digest(module)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	key := codecache.Key{Module: digest, Pass: instrument.Version, Counted: p.System.Spec.Stress() > 0}
	if dir, ok := p.Cache.Get(key); ok {
		return dir, nil
	}
	if p.Compiling != nil {
		p.Compiling(true)
		defer p.Compiling(false)
	}
	return p.Cache.Fill(ctx, key, func(ctx context.Context, dir string) error {
		return compile(ctx, p, module, sandbox.CompileSetup{Out: dir, Jail: p.Jail, Counted: key.Counted})
	})
}

// compile runs the helper.
func compile(ctx context.Context, p *Plan, module *os.File, setup sandbox.CompileSetup) error {
	seed, err := spawn(p.Jail, func(theirs *os.File) *exec.Cmd {
		cmd := exec.CommandContext(ctx, p.Executable, sandbox.CompileCommand)
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.SysProcAttr = attributes(true)
		return cmd
	})
	if err != nil {
		return err
	}
	defer seed.conn.Close()
	setup.Given = seed.given
	var r sandbox.Report
	err = seed.conn.Send(&setup, module)
	if err == nil {
		_, err = seed.conn.Receive(&r)
	}
	waited := seed.cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fault.New(fault.UnexpectedExit, "the process that compiles it ended: %v", waited)
	}
	return r.Fault.Err()
}
