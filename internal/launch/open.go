package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// An opening is what has been opened for a system.
type opening struct {
	plan  *Plan
	files []*os.File
	setup sandbox.Setup
	exit  *os.File // among files; the process's in the end
	code  *Code    // kept in the cache until the process has it
}

func (o *opening) close() {
	for _, f := range o.files {
		if f != o.plan.Entry.Lock() && f != o.exit {
			f.Close()
		}
	}
	if o.code != nil {
		o.code.Release()
	}
}

// add hands a file over under a role.
func (o *opening) add(role string, f *os.File) {
	o.files = append(o.files, f)
	o.setup.Roles = append(o.setup.Roles, role)
}

func (o *opening) open(ctx context.Context) error {
	p := o.plan
	o.setup = sandbox.Setup{
		Name: p.Entry.Name(), ID: p.System.ID, Spec: p.System.Spec, Jail: p.Jail, Given: o.setup.Given,
		Life: p.Foreground, Direct: p.Stdio[0] != nil, Attach: p.Attach,
	}
	if p.Attach != nil {
		o.setup.Size = p.Attach.Size
	}
	if err := o.openProgram(ctx); err != nil {
		return err
	}
	if err := o.openGrants(); err != nil {
		return err
	}
	return o.openEntry()
}

// openProgram opens the module or the image, and has the code compiled.
func (o *opening) openProgram(ctx context.Context) error {
	s := &o.plan.System.Spec
	var module *os.File
	var err error
	if s.Image == "" {
		if module, err = OpenModule(s.Module); err != nil {
			return err
		}
		o.add(sandbox.RoleModule, module)
	} else if module, err = o.openImage(s.Image, s.Module); err != nil {
		return err
	}
	if o.plan.Cache == nil || module == nil || s.Image != "" && !o.isModule(s.Image, module) {
		return nil // the system itself says what is wrong with an image
	}
	if o.code, err = Compile(ctx, o.plan, module); o.code != nil {
		o.setup.Cache = o.code.Dir
	}
	return err
}

// isModule reports whether a file is the module that an image names: nothing else
// is compiled for it.
func (o *opening) isModule(dir string, module *os.File) bool {
	config, err := image.OpenConfig(image.OS, dir)
	if err != nil {
		return false
	}
	digest, err := o.plan.Cache.Digest(module)
	return err == nil && slices.ContainsFunc(config.Modules, func(m image.ModuleInfo) bool { return m.Digest == fmt.Sprintf("%x", digest) })
}

// OpenModule opens a module's file, and refuses what is none.
func OpenModule(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fault.Advise(fault.NotFound, errors.New("no such file"), "name a .wasm file")
	case errors.Is(err, os.ErrPermission):
		return nil, fault.Advise(fault.NotRunnable, unix.EACCES, "give yourself the permission to read it")
	case err != nil:
		return nil, fault.New(fault.NotRunnable, "%w", errors.Unwrap(err))
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, fault.Advise(fault.NotRunnable, errors.New("it is not a regular file"), "name a .wasm file")
	}
	return f, nil
}

// openImage opens the files of an image and returns its module's.
func (o *opening) openImage(dir, module string) (*os.File, error) {
	config, err := image.OpenConfig(image.OS, dir)
	if err != nil {
		return nil, err
	}
	open, err := image.Opener(image.OS, dir)
	if err != nil {
		return nil, err
	}
	var first *os.File
	for _, name := range config.FileNames() {
		f, err := open(name)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", dir, err)
		}
		file := image.OSFile(f)
		o.add(sandbox.RoleImage+name, file)
		if first == nil && isModuleFile(name) {
			first = file
		}
	}
	if config.Thin() {
		if module == "" {
			return nil, MissingModule(dir, config)
		}
		if first, err = OpenModule(module); err != nil {
			return nil, fmt.Errorf("module %s: %w", module, err)
		}
		o.add(sandbox.RoleModule, first)
	}
	return first, nil
}

// isModuleFile reports whether a file of an image is a module.
func isModuleFile(name string) bool { return strings.HasPrefix(name, "module-") }

// MissingModule refuses a thin image whose module is not given.
func MissingModule(dir string, c image.Config) error {
	if len(c.Modules) == 0 {
		return fault.New(fault.Corrupt, "image %s: it is thin, and names no module", dir)
	}
	return fault.Advise(fault.Refused, fmt.Errorf("image %s: it is thin: its module %.12s… is not in it", dir, c.Modules[0].Digest), "name the module's file with --module FILE")
}

// openEntry opens the files of the system's directory, and its socket.
func (o *opening) openEntry() error {
	e := o.plan.Entry
	o.add(sandbox.RoleLock, e.Lock())
	if o.plan.System.Spec.LogLimit >= 0 {
		for _, name := range []string{sandbox.RoleLog, sandbox.RoleLog1} {
			f, err := e.File(name, os.O_CREATE|os.O_RDWR|os.O_TRUNC)
			if err != nil {
				return fmt.Errorf("log: %w", err)
			}
			o.add(name, f)
		}
	}
	attempts, err := e.File("attempts", os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	o.add(sandbox.RoleAttempts, attempts)
	if all, err := e.Attempts(); err == nil && len(all) > 0 {
		o.setup.Attempts = all[len(all)-1].Number
	}
	if err := o.openSocket(); err != nil {
		return err
	}
	exit, err := e.NewExit() // last: what went before it is no run
	if err != nil {
		return err
	}
	o.add(sandbox.RoleExit, exit)
	o.exit = exit
	return nil
}

func (o *opening) openSocket() error {
	path := o.plan.Store.Socket(o.plan.System.ID)
	_ = os.Remove(path) // of an earlier run
	f, err := control.Listen(path)
	if err != nil {
		return fault.Advise(fault.Internal, fmt.Errorf("control socket %s: %w", path, err), "set STASIS_HOME or XDG_RUNTIME_DIR to a directory where sockets can be made")
	}
	o.add(sandbox.RoleControl, f)
	return nil
}
