// Package launch is the parent of processes that host systems: it opens what a
// system is given, has its code compiled, starts the process and hands all over.
package launch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
	"github.com/stasis-run/stasis/internal/version"
)

// A Plan is a system to be started.
type Plan struct {
	Store      *store.Store
	Entry      *store.Entry // whose lock is held
	System     store.System
	Executable string           // that hosts systems: see sandbox.ChildCommand
	Cache      *codecache.Cache // nil is none
	Jail       string           // on, strict, off

	// Foreground has the system end with this process.
	Foreground bool

	// Stdio are the guest's streams, if they are this process's to give: a
	// system without a terminal in the foreground.
	Stdio [3]*os.File

	// Attach has the connection be that of an attached client.
	Attach *control.Attach

	// Compiling is told when code is compiled that was not in the cache.
	Compiling func(begin bool)
}

// A Process hosts a system that runs.
type Process struct {
	Conn   *control.Conn // attached, if the plan says so
	PID    int
	Report sandbox.Report
	cmd    *exec.Cmd
}

// Start starts the system, and returns when it runs.
func Start(ctx context.Context, p *Plan) (*Process, error) {
	o := &opening{plan: p}
	defer o.close()
	if err := o.open(ctx); err != nil {
		return nil, err
	}
	proc, err := o.spawn(ctx)
	if err != nil {
		_ = os.Remove(p.Store.Socket(p.System.ID)) // it may not be there
		return nil, err
	}
	run := store.Run{
		PID: proc.PID, Started: time.Now(), Foreground: p.Foreground, Jail: proc.Report.Jail, Version: version.Number,
	}
	if err := p.Entry.SetRun(run); err != nil {
		proc.Kill()
		return nil, fmt.Errorf("note the run: %w", err)
	}
	return proc, nil
}

// Kill ends the process and waits until it has gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have gone
	_ = p.cmd.Wait()         // it was killed
	p.Conn.Close()
}

// Wait waits until the process has gone.
func (p *Process) Wait() { _ = p.cmd.Wait() } // how it ended is in the store

// Release leaves the process alone.
func (p *Process) Release() {
	p.Conn.Close()
	_ = p.cmd.Process.Release() // never fails here
}

// An opening is what has been opened for a system.
type opening struct {
	plan  *Plan
	files []*os.File
	setup sandbox.Setup
	cache string
}

func (o *opening) close() {
	for _, f := range o.files {
		if f != o.plan.Entry.Lock() {
			f.Close()
		}
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
		Name: p.Entry.Name(), ID: p.System.ID, Spec: p.System.Spec, Jail: p.Jail,
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
	o.setup.Cache, err = Compile(ctx, o.plan, module)
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
		if first == nil && strings.HasPrefix(name, "module-") {
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

// MissingModule refuses a thin image whose module is not given.
func MissingModule(dir string, c image.Config) error {
	return fault.Advise(fault.Refused, fmt.Errorf("image %s: it is thin: its module %.12s… is not in it", dir, c.Modules[0].Digest), "name the module's file with --module FILE")
}

// openGrants opens what of the host the system is given.
func (o *opening) openGrants() error {
	s := &o.plan.System.Spec
	for i, d := range s.Dirs {
		f, err := openDir(d)
		if err != nil {
			return err
		}
		o.add(sandbox.RoleDir+strconv.Itoa(i), f)
		if err := o.claim(d, f); err != nil {
			return err
		}
	}
	for _, l := range s.Listen {
		f, err := listen(l)
		if err != nil {
			return fmt.Errorf("listen %s: %w", l, err)
		}
		o.add(sandbox.RoleListen+l, f)
	}
	return nil
}

func openDir(d spec.Dir) (*os.File, error) {
	f, err := os.OpenFile(d.Host, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fault.Advise(fault.Invalid, fmt.Errorf("--dir %s: %w", d.Host, errors.Unwrap(err)), "name a directory that exists")
	}
	return f, nil
}

// OpenGrants opens what of the host a system in this process is given. It is
// released when the system has been built.
func OpenGrants(s *spec.Spec) (g sandbox.Granted, release func(), err error) {
	g.Listen = make(map[string]*os.File)
	release = func() {
		for _, f := range g.Dirs {
			f.Close()
		}
		for _, f := range g.Listen {
			f.Close()
		}
	}
	for _, d := range s.Dirs {
		f, err := openDir(d)
		if err != nil {
			release()
			return g, nil, err
		}
		g.Dirs = append(g.Dirs, f)
	}
	for _, l := range s.Listen {
		f, err := listen(l)
		if err != nil {
			release()
			return g, nil, fmt.Errorf("listen %s: %w", l, err)
		}
		g.Listen[l] = f
	}
	return g, release, nil
}

// claim refuses that two systems of one image write to one directory: each
// thinks that it is alone there.
func (o *opening) claim(d spec.Dir, f *os.File) error {
	if o.plan.System.Spec.Image == "" || d.ReadOnly || d.Shared {
		return nil
	}
	config, err := image.OpenConfig(image.OS, o.plan.System.Spec.Image)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	name := fmt.Sprintf("writer-%s-%x-%x", config.Generation, st.Dev, st.Ino)
	lock, err := o.plan.Store.Claim(name)
	if errors.Is(err, store.ErrRunning) {
		return fault.Advise(fault.Refused, fmt.Errorf("--dir %s: another system of this image writes there", d.Host),
			"grant it to both: --dir %s:%s:shared, or give this one a directory of its own", d.Host, d.Guest)
	}
	if err != nil {
		return fmt.Errorf("--dir %s: %w", d.Host, err)
	}
	o.add(sandbox.RoleKeep+strconv.Itoa(len(o.files)), lock)
	return nil
}

// listen makes a listening socket of tcp:HOST:PORT.
func listen(spec string) (*os.File, error) {
	network, addr, _ := strings.Cut(spec, ":")
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, sandbox.Advise(&listenError{err})
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// A listenError is what package net says, without the address, which its reader
// knows.
type listenError struct{ error }

func (e *listenError) Error() string {
	var errno unix.Errno
	if errors.As(e.error, &errno) {
		return errno.Error()
	}
	return e.error.Error()
}

func (e *listenError) Unwrap() error { return e.error }

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

// spawn starts the process and waits for its report.
func (o *opening) spawn(ctx context.Context) (*Process, error) {
	conn, theirs, err := control.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd, err := start(o.plan.Jail, o.setup.Policy(), &o.setup.Given, func() *exec.Cmd {
		cmd := exec.Command(o.plan.Executable, sandbox.ChildCommand)
		cmd.Env, cmd.Dir = environment(), "/"
		if o.setup.Direct {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = o.plan.Stdio[0], o.plan.Stdio[1], o.plan.Stdio[2]
		}
		cmd.ExtraFiles = append([]*os.File{theirs}, o.files...)
		cmd.SysProcAttr = attributes(o.setup.Direct)
		return cmd
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	theirs.Close()
	proc := &Process{Conn: conn, PID: cmd.Process.Pid, cmd: cmd}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	err = o.await(proc)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		proc.Kill()
		return nil, err
	}
	return proc, nil
}

// environment is what a host process needs of ours.
func environment() []string {
	env := []string{"GODEBUG=" + os.Getenv("GODEBUG")}
	for _, name := range []string{"STASIS_DEBUG", "GOMAXPROCS", "GOCOVERDIR", "GORACE"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// await hands the setup over and waits for the report.
func (o *opening) await(p *Process) error {
	if err := p.Conn.Send(&o.setup); err != nil {
		return fmt.Errorf("set the system's process up: %w", err)
	}
	files, err := p.Conn.Receive(&p.Report)
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		state, _ := p.cmd.Process.Wait()
		return fault.New(fault.UnexpectedExit, "the system's process ended before the system ran (%v)", state)
	}
	return p.Report.Fault.Err()
}

// attributes are those of a process that outlives a terminal's session; one in
// the foreground does not outlive the thread that starts it.
func attributes(foreground bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if foreground {
		a.Pdeathsig = unix.SIGKILL
	}
	return a
}

// Executable finds the program that hosts systems: this one if it can, else
// stasis in the PATH.
func Executable(self bool) (string, error) {
	if self {
		return os.Executable()
	}
	path, err := exec.LookPath("stasis")
	if err != nil {
		return "", fault.Advise(fault.NotFound, errors.New("no program that hosts systems: stasis is not in the PATH"),
			"install it, name it with Options.Executable, or call stasis.SandboxMain first in main")
	}
	return filepath.Abs(path)
}
