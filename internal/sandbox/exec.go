package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// execPrefix begins the names under which streams of processes are saved that were
// begun from outside; something that tells them apart follows, and which it is.
// Whoever restores them has nobody at the other end.
const execPrefix = "exec "

// Exec runs another process in the system for a client, whose connection is a
// stream of input and output until Stream.Ended; the answer that follows is how the
// process ended. It ends with the connection. module, if not nil, is the file of
// what it runs.
func (s *System) Exec(c *control.Conn, e *control.Exec, module *os.File, reply func(control.Answer, error)) {
	x, err := s.newExecution(e)
	if err != nil {
		reply(control.Answer{}, err)
		return
	}
	reply(control.Answer{}, nil)
	cl := newClient(c, false)
	_ = x.console.join(cl) // it has not ended
	err = x.start(module)
	if err != nil {
		x.console.end()
		reply(control.Answer{}, err)
		return
	}
	go func() {
		x.console.serve(cl, control.Attach{Stdin: e.Stdin}, x.signal)
		x.process.Terminate() // nobody is there to see it, or it has ended
	}()
	st, err := x.process.Wait(context.Background()) // the kernel's end ends it
	x.console.end()
	out := execEnd(st)
	if st.Signal == kernel.SIGKILL && x.kernel.Init().Exiting() {
		out.Error = "the system has ended, and this process with it"
	}
	reply(control.Answer{Exec: out}, err)
}

// An execution is a process that runs for a client.
type execution struct {
	sys     *System
	asked   *control.Exec
	console *console
	kernel  *kernel.Kernel
	process *kernel.ThreadGroup // nil before it has begun
}

func (s *System) newExecution(e *control.Exec) (*execution, error) {
	k := s.Kernel()
	switch {
	case e == nil || len(e.Args) == 0:
		return nil, fault.New(fault.Invalid, "no program is named")
	case e.Dir != "" && !path.IsAbs(e.Dir):
		return nil, fault.New(fault.Invalid, "working directory %s: want an absolute path of the guest", e.Dir)
	case s.opts.Spec.StressCheckpoint > 0:
		return nil, fault.New(fault.Unsupported, "the kernel of a system under --stress checkpoint is replaced again and again: nothing else can be run in it")
	case k == nil:
		return nil, errEnded
	case s.State() == "paused":
		return nil, fault.Advise(fault.WrongState, errors.New("the system is paused"), "resume it with: stasis resume")
	}
	x := &execution{sys: s, asked: e, kernel: k}
	c := &console{
		log: newLogWriter([2]*os.File{}, spec.DefaultLogLimit), prefix: execPrefix + store.RandomID(8) + " ", stdin: e.Stdin || e.TTY,
		clients: make(map[*client]struct{}),
	}
	if e.TTY {
		c.useTerminal(e.Size, func(sig int32) { s.terminalSignal(c.tty, sig) })
	} else {
		c.useStreams()
	}
	x.console = c
	return x, nil
}

// start begins the process. The system's world stays as long as that takes.
func (x *execution) start(module *os.File) error {
	ctx, end, err := x.sys.copies.begin(context.Background(), true)
	if err != nil {
		return err
	}
	defer end()
	select {
	case <-x.sys.runs:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w := x.sys.world
	cwd, err := w.newContext()
	if err != nil {
		return err
	}
	o := kernel.ProcessOptions{Args: x.asked.Args, Env: x.environment(), CWD: cwd}
	if x.console.tty != nil {
		o.Terminal = x.console.tty
	}
	if err = x.begin(ctx, w, module, &o); err != nil {
		cwd.Close()
		if o.Files != nil {
			o.Files.CloseAll()
		}
	}
	return err
}

func (x *execution) begin(ctx context.Context, w *world, module *os.File, o *kernel.ProcessOptions) error {
	dir := x.asked.Dir
	if dir != "" {
		if errno := o.CWD.Chdir(dir); errno != abi.OK {
			return copyFault(fmt.Errorf("working directory %s: %w", dir, errno))
		}
	} else {
		dir = w.spec.Workdir
	}
	source, err := x.program(module, o)
	if err != nil {
		return err
	}
	if o.Files, err = w.filesWith(x.stream(w), dir, nil); err != nil {
		return err
	}
	if x.process, err = x.kernel.Exec(ctx, source, *o); err != nil {
		return fmt.Errorf("%s: %w", x.asked.Args[0], err)
	}
	return nil
}

// program is the module that the process runs: the client's file, or what its first
// argument names in the guest's tree.
func (x *execution) program(module *os.File, o *kernel.ProcessOptions) ([]byte, error) {
	name := x.asked.Args[0]
	if module != nil {
		b, err := ReadModule(module)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return b, nil
	}
	source, args, errno := wasi.FindProgram(o.CWD, name, variable(o.Env, "PATH"), o.Args)
	o.Args = args
	switch errno {
	case abi.OK:
		return source, nil
	case abi.ENOENT, abi.ENOTDIR:
		return nil, fault.Advise(fault.NotFound, fmt.Errorf("%s: there is no such program in the system's files", name), "name a path there, or a module of the host with --module")
	case abi.ENOEXEC:
		return nil, fault.New(fault.NotRunnable, "%s: it is neither a WebAssembly module nor a script of one", name)
	}
	return nil, fault.New(fault.NotRunnable, "%s: %w", name, errno)
}

// stream gives the process its standard streams.
func (x *execution) stream(w *world) func(name string) (vfs.File, error) {
	return func(name string) (vfs.File, error) { return x.console.file(w.poller, name) }
}

// environment is the first process's, with what was asked for in its place.
func (x *execution) environment() []string {
	env := x.asked.Env
	if x.asked.Dir != "" && variable(env, "PWD") == "" {
		env = append(slices.Clone(env), "PWD="+x.asked.Dir)
	}
	return overlay(x.kernel.Init().Env(), env)
}

// overlay is an environment with variables of another one in place of its own.
func overlay(env, over []string) []string {
	names := make(map[string]int)
	var out []string
	for _, e := range slices.Concat(env, over) {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := names[name]; ok {
			out[i] = e
			continue
		}
		names[name] = len(out)
		out = append(out, e)
	}
	return out
}

// variable is the value of a variable; "" if there is none.
func variable(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// signal sends the process what the client hands on.
func (x *execution) signal(sig int32) {
	_ = x.process.Signal(sig) // not a signal: nothing to do
}

// execEnd is how a process ended, for its client.
func execEnd(st kernel.ExitStatus) *control.ExecEnd {
	switch {
	case st.Trap != nil:
		return &control.ExecEnd{Code: codeTrap, Trap: st.Trap.Message}
	case st.Signal != 0:
		return &control.ExecEnd{Code: 128 + st.Signal, Signal: st.Signal}
	}
	return &control.ExecEnd{Code: int32(uint8(st.Code))}
}
