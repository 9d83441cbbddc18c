package wasi

import (
	"errors"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/kernel"
)

// flag is a bool_t argument.
func (c *call) flag(i int) (bool, abi.Errno) {
	switch c.u32(i) {
	case 0:
		return false, abi.OK
	case 1:
		return true, abi.OK
	}
	return false, abi.EINVAL
}

// rest has the call made again with the stack taken apart, unless it is.
func (c *call) rest() abi.Errno {
	if !c.t.AtRest() {
		return errRestart
	}
	return abi.OK
}

// kernelErrno is the errno for an error of the kernel's, which the log explains
// where the errno does not.
func (c *call) kernelErrno(what string, err error) abi.Errno {
	var errno abi.Errno
	var imports *kernel.ImportError
	var memory *engine.MemoryError
	var handler *kernel.ErrNoHandler
	switch {
	case err == nil:
		return abi.OK
	case errors.As(err, &errno):
	case errors.Is(err, kernel.ErrSignalFirst):
		return errRestart
	case errors.Is(err, kernel.ErrTooManyTasks), errors.Is(err, kernel.ErrExiting), errors.Is(err, kernel.ErrTooManySignals):
		return abi.EAGAIN // the limits are known, and a guest could fill the log with them
	case errors.Is(err, kernel.ErrTaskMemory), errors.Is(err, engine.ErrNoMemory), errors.Is(err, kernel.ErrTooManyMarks), errors.Is(err, kernel.ErrTooManyFibers), errors.As(err, &memory):
		errno = abi.ENOMEM
	case errors.Is(err, kernel.ErrNoSuchProcess):
		return abi.ESRCH
	case errors.Is(err, kernel.ErrNotPermitted):
		return abi.EPERM
	case errors.Is(err, kernel.ErrHasExecuted):
		return abi.EACCES
	case errors.Is(err, kernel.ErrNoFiber), errors.Is(err, kernel.ErrNoMark):
		errno = abi.EINVAL
	case errors.Is(err, kernel.ErrNoLoader), errors.Is(err, kernel.ErrNoStackPointer), errors.Is(err, kernel.ErrNoSnapshots), errors.As(err, &handler):
		errno = abi.ENOTSUP
	case errors.As(err, &imports):
		errno = abi.ENOEXEC
	default:
		errno = abi.ENOEXEC
	}
	c.t.Kernel().Log().Warn(what+" failed", "process", c.t.Group().ID(), "errno", errno.Error(), "err", err)
	return errno
}

// procFork makes a child: with argument 0 a copy of the process, otherwise one that
// has the memory in common with it until it executes a program or ends, and until
// then the process stands.
func procFork(c *call) abi.Errno {
	copies, errno := c.flag(0)
	if errno != abi.OK {
		return errno
	}
	if !copies {
		return c.vfork(1, false)
	}
	out, errno := c.out(1, 4)
	if errno != abi.OK {
		return errno
	}
	return c.fork(out, c.u32(1))
}

func (c *call) fork(out []byte, ptr uint32) abi.Errno {
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	id, err := c.t.Fork(func(child *kernel.Task) {
		le.PutUint32(child.Memory()[ptr:], 0)
		child.Complete([]uint64{0})
	})
	if err != nil {
		return c.kernelErrno("fork", err)
	}
	le.PutUint32(out, uint32(id))
	return abi.OK
}

// vfork is made again in the parent once the child does not need its memory any
// more.
func (c *call) vfork(ret int, through bool) abi.Errno {
	out, errno := c.out(ret, 4)
	if errno != abi.OK {
		return errno
	}
	if r := c.t.Restart(); r.Set {
		if through { // the child has ended in a way that cannot come back here
			return abi.ECHILD
		}
		le.PutUint32(out, uint32(r.Done))
		return abi.OK
	}
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	if borrows, _ := c.t.Borrows(); borrows {
		return c.fork(out, c.u32(ret))
	}
	ptr := c.u32(ret)
	err := c.t.Vfork(through, func(child *kernel.Task) {
		pid := uint32(0)
		if through { // the parent finds it there
			pid = uint32(child.ID())
		}
		le.PutUint32(child.Memory()[ptr:], pid)
		child.Complete([]uint64{0})
	})
	if err != nil {
		return c.kernelErrno("vfork", err)
	}
	return errRestart
}

func procForkEnv(c *call) abi.Errno { return c.vfork(0, true) }

func procExit(c *call) abi.Errno {
	c.t.Group().Exit(int32(c.u32(0)))
	return errGone
}

// procExit2 ends the process. In a child of procForkEnv it returns, to the parent.
func procExit2(c *call) abi.Errno {
	if _, through := c.t.Borrows(); !through {
		return procExit(c)
	}
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	c.t.ExitThrough(int32(c.u32(0)))
	return errGone
}

func procID(c *call) abi.Errno { return c.put32(0, uint32(c.t.Group().ID())) }

// put32 writes v to where pointer argument i points.
func (c *call) put32(i int, v uint32) abi.Errno {
	out, errno := c.out(i, 4)
	if errno == abi.OK {
		le.PutUint32(out, v)
	}
	return errno
}

func procParent(c *call) abi.Errno {
	pid := kernel.TaskID(c.u32(0))
	g := c.t.Group()
	if pid != 0 && pid != g.ID() {
		var ok bool
		if g, ok = c.t.Kernel().Tasks().Process(pid); !ok {
			return abi.ESRCH
		}
	}
	return c.put32(1, uint32(g.Parent()))
}

// Flags of proc_join.
const (
	joinNonBlocking = 1
	joinStopped     = 2
	joinFlags       = joinNonBlocking | joinStopped
)

// Tags of what proc_join tells.
const (
	joinNothing = iota
	joinExit
	joinSignal
	joinStoppedBy
)

// joinSize is the size of join_status_t, and optionSize that of option_pid_t.
const (
	joinSize   = 6
	optionSize = 8
)

// procJoin waits for a child as waitpid(2) does: argument 0 points to which, and is
// told there.
func procJoin(c *call) abi.Errno {
	which, errno := c.out(0, optionSize)
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(2, joinSize)
	if errno != abi.OK {
		return errno
	}
	f, ok := c.waitFor(which)
	if c.u32(1)&^joinFlags != 0 || !ok {
		return abi.EINVAL
	}
	f.Exited, f.Stopped = true, c.u32(1)&joinStopped != 0
	change, errno := c.waitChild(f, c.u32(1)&joinNonBlocking != 0)
	if errno != abi.OK {
		return errno
	}
	which[0] = 1
	le.PutUint32(which[4:], uint32(change.PID))
	putJoin(out, change)
	return abi.OK
}

// waitFor reads an option_pid_t: none, a pid, or as in waitpid(2) -1 for any, 0 for
// those of the caller's process group and -n for those of group n.
func (c *call) waitFor(which []byte) (f kernel.WaitFor, ok bool) {
	switch which[0] {
	case 0:
		return f, true
	case 1:
	default:
		return f, false
	}
	switch pid := int32(le.Uint32(which[4:])); {
	case pid > 0:
		f.PID = kernel.TaskID(pid)
	case pid == 0:
		f.Group, _ = c.t.Group().JobIDs()
	case pid < -1:
		f.Group = kernel.TaskID(-pid)
	}
	return f, true
}

// waitChild waits for a change of a child. Where nothing has changed and the call
// is not to wait, the change is zero.
func (c *call) waitChild(f kernel.WaitFor, nohang bool) (change kernel.Change, errno abi.Errno) {
	g := c.t.Group()
	for {
		change, ok, err := g.WaitChild(f)
		if err != nil {
			return change, abi.ECHILD
		}
		if ok || nohang {
			return change, abi.OK
		}
		ready := func() bool {
			look := f
			look.Keep = true
			_, ok, err := g.WaitChild(look)
			return ok || err != nil
		}
		switch c.t.Block(kernel.Never, ready, g.ChildChanges()) {
		case kernel.Interrupted:
			return change, errRestart
		case kernel.Signalled:
			return change, abi.EINTR
		}
	}
}

// putJoin writes a join_status_t.
func putJoin(out []byte, c kernel.Change) {
	clear(out)
	switch c.Code {
	case kernel.CLDExited:
		out[0] = joinExit
		le.PutUint16(out[2:], uint16(c.Status))
	case kernel.CLDKilled, kernel.CLDDumped:
		out[0] = joinSignal
		le.PutUint16(out[2:], uint16(128+c.Status)) // what a shell makes of it
		out[4] = uint8(c.Status)
	case kernel.CLDStopped:
		out[0] = joinStoppedBy
		out[2] = uint8(c.Status)
	}
}

// procSnapshot waits until the system is saved: it is, too, if this is a restored one.
func procSnapshot(c *call) abi.Errno {
	got, err := c.t.Snapshot()
	switch {
	case errors.Is(err, kernel.ErrNoSnapshots):
		return c.kernelErrno("proc_snapshot", err)
	case err != nil: // whoever saved it knows why not
		return abi.EIO
	case got == kernel.Interrupted:
		return errRestart
	case got == kernel.Signalled:
		return abi.EINTR
	}
	return abi.OK
}
