package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/control"
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
	conn, theirs, err := control.Pair()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer theirs.Close()
	cmd, err := start(p.Jail, setup.Policy(), &setup.Given, func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, p.Executable, sandbox.CompileCommand)
		cmd.Env, cmd.Dir = environment(), "/"
		cmd.ExtraFiles = []*os.File{theirs, module}
		cmd.SysProcAttr = attributes(true)
		return cmd
	})
	if err != nil {
		return err
	}
	theirs.Close()
	var r sandbox.Report
	err = conn.Send(&setup)
	if err == nil {
		_, err = conn.Receive(&r)
	}
	waited := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fault.New(fault.UnexpectedExit, "the process that compiles it ended: %v", waited)
	}
	return r.Fault.Err()
}
