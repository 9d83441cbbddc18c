package wasi

import (
	"math"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
)

// process finds the process whose pid is argument i; 0 is the caller's own.
func (c *call) process(i int) (*kernel.ThreadGroup, abi.Errno) {
	pid := kernel.TaskID(c.u32(i))
	if pid == 0 {
		return c.t.Group(), abi.OK
	}
	g, ok := c.t.Kernel().Tasks().Process(pid)
	if !ok {
		return nil, abi.ESRCH
	}
	return g, abi.OK
}

// processGroupGet is getpgid(2).
func processGroupGet(c *call) abi.Errno {
	g, errno := c.process(0)
	if errno != abi.OK {
		return errno
	}
	group, _ := g.JobIDs()
	return c.put32(1, uint32(group))
}

// processGroupSet is setpgid(2).
func processGroupSet(c *call) abi.Errno {
	pid, group := kernel.TaskID(c.u32(0)), kernel.TaskID(c.u32(1))
	if pid < 0 || group < 0 {
		return abi.EINVAL
	}
	return c.kernelErrno("setpgid", c.t.Group().SetProcessGroup(pid, group))
}

// sessionGet is getsid(2).
func sessionGet(c *call) abi.Errno {
	g, errno := c.process(0)
	if errno != abi.OK {
		return errno
	}
	_, session := g.JobIDs()
	return c.put32(1, uint32(session))
}

// sessionSet is setsid(2); argument 0 points to where the session's number goes.
func sessionSet(c *call) abi.Errno {
	if _, errno := c.out(0, 4); errno != abi.OK {
		return errno
	}
	if err := c.t.Group().SetSession(); err != nil {
		return c.kernelErrno("setsid", err)
	}
	return c.put32(0, uint32(c.t.Group().ID()))
}

// Options of child_wait, those of waitid(2).
const (
	waitNoHang    = 1
	waitStopped   = 2
	waitExited    = 4
	waitContinued = 8
	waitNoWait    = 0x01000000

	waitOptions = waitNoHang | waitStopped | waitExited | waitContinued | waitNoWait
)

// What child_wait waits for, as waitid(2) has it.
const (
	idAll = iota
	idPID
	idGroup
)

// siginfoSize is the size of stasis_siginfo: signal, code, pid and status of 32 bits
// each, and a value of 64.
const siginfoSize = 24

func putSiginfo(out []byte, info kernel.SigInfo) {
	le.PutUint32(out, uint32(info.Signo))
	le.PutUint32(out[4:], uint32(info.Code))
	le.PutUint32(out[8:], uint32(info.PID))
	le.PutUint32(out[12:], uint32(info.Status))
	le.PutUint64(out[16:], info.Value)
}

// childWait is waitid(2): kind, id, options, information. Nothing to tell is a pid of
// 0.
func childWait(c *call) abi.Errno {
	out, errno := c.out(3, siginfoSize)
	if errno != abi.OK {
		return errno
	}
	id, options := kernel.TaskID(c.u32(1)), c.u32(2)
	if options&^waitOptions != 0 || options&(waitExited|waitStopped|waitContinued) == 0 || id < 0 {
		return abi.EINVAL
	}
	f := kernel.WaitFor{
		Exited: options&waitExited != 0, Stopped: options&waitStopped != 0,
		Continued: options&waitContinued != 0, Keep: options&waitNoWait != 0,
	}
	switch c.u32(0) {
	case idAll:
	case idPID:
		f.PID = id
	case idGroup:
		if f.Group = id; id == 0 {
			f.Group, _ = c.t.Group().JobIDs()
		}
	default:
		return abi.EINVAL
	}
	change, errno := c.waitChild(f, options&waitNoHang != 0)
	if errno != abi.OK {
		return errno
	}
	info := kernel.SigInfo{Code: change.Code, PID: change.PID, Status: change.Status}
	if change.PID != 0 {
		info.Signo = kernel.SIGCHLD
	}
	putSiginfo(out, info)
	return abi.OK
}

// sigactionSize is the size of stasis_sigaction: disposition and flags of 32 bits
// each, and a mask of 64.
const sigactionSize = 16

// signalAction is sigaction(2). Both pointers may be null. Which function is called
// is said by callback_signal.
func signalAction(c *call) abi.Errno {
	sig, errno := c.signalArg(0)
	if errno != abi.OK {
		return errno
	}
	g := c.t.Group()
	old, ok := g.Action(sig)
	if !ok {
		return abi.EINVAL
	}
	var out []byte
	if c.u32(2) != 0 {
		if out, errno = c.out(2, sigactionSize); errno != abi.OK {
			return errno
		}
	}
	if c.u32(1) != 0 {
		in, errno := c.out(1, sigactionSize)
		if errno != abi.OK {
			return errno
		}
		a := kernel.SigAction{
			Disposition: kernel.Disposition(le.Uint32(in)), Flags: le.Uint32(in[4:]), Mask: kernel.SigSet(le.Uint64(in[8:])),
		}
		if old, ok = g.SetAction(sig, a); !ok {
			return abi.EINVAL
		}
	}
	if out != nil {
		le.PutUint32(out, uint32(old.Disposition))
		le.PutUint32(out[4:], old.Flags)
		le.PutUint64(out[8:], uint64(old.Mask))
	}
	return abi.OK
}

// sigset reads a set of signals.
func (c *call) sigset(i int) (kernel.SigSet, abi.Errno) {
	in, errno := c.out(i, 8)
	if errno != abi.OK {
		return 0, errno
	}
	return kernel.SigSet(le.Uint64(in)), abi.OK
}

// signalMask is sigprocmask(2) of a thread: how, set, old set; both may be null.
func signalMask(c *call) abi.Errno {
	mask := c.t.SigMask()
	old := mask
	if c.u32(1) != 0 {
		set, errno := c.sigset(1)
		if errno != abi.OK {
			return errno
		}
		switch c.u32(0) { // SIG_BLOCK and so on
		case 0:
			mask |= set
		case 1:
			mask &^= set
		case 2:
			mask = set
		default:
			return abi.EINVAL
		}
	}
	if c.u32(2) != 0 {
		out, errno := c.out(2, 8)
		if errno != abi.OK {
			return errno
		}
		le.PutUint64(out, uint64(old))
	}
	if c.u32(1) != 0 {
		c.t.SetSigMask(mask)
	}
	return abi.OK
}

// signalPending is sigpending(2).
func signalPending(c *call) abi.Errno {
	out, errno := c.out(0, 8)
	if errno == abi.OK {
		le.PutUint64(out, uint64(c.t.PendingSignals()&c.t.SigMask()))
	}
	return errno
}

// signalQueue is sigqueue(3).
func signalQueue(c *call) abi.Errno {
	if c.sent() {
		return abi.OK
	}
	sig, errno := c.signalArg(1)
	if errno != abi.OK {
		return errno
	}
	to, ok := c.t.Kernel().Tasks().Process(kernel.TaskID(c.u32(0)))
	if !ok {
		return abi.ESRCH
	}
	info := kernel.SigInfo{Signo: sig, Code: kernel.SIQueue, PID: c.t.Group().ID(), Value: c.u64(2)}
	return c.afterHandlers(c.kernelErrno("sigqueue", to.SendInfo(info)))
}

// signalWait is sigtimedwait(2): set, information or null, and ns, all bits of which
// are set for ever. EAGAIN says that none has come.
func signalWait(c *call) abi.Errno {
	set, errno := c.sigset(0)
	if errno != abi.OK {
		return errno
	}
	var out []byte
	if c.u32(1) != 0 {
		if out, errno = c.out(1, siginfoSize); errno != abi.OK {
			return errno
		}
	}
	r := c.t.Restart()
	if !r.Set {
		r.Set, r.Deadline = true, kernel.Never
		if ns := c.u64(2); ns <= math.MaxInt64 {
			r.Deadline = add(c.t.Kernel().Clocks().Monotonic(), int64(ns))
		}
	}
	info, got := c.t.WaitSignal(set, r.Deadline)
	switch got {
	case kernel.Interrupted:
		return errRestart
	case kernel.Signalled:
		return abi.EINTR
	case kernel.TimedOut:
		return abi.EAGAIN
	}
	if out != nil {
		putSiginfo(out, info)
	}
	return abi.OK
}

// signalSuspend is sigsuspend(2), which ends with EINTR.
func signalSuspend(c *call) abi.Errno {
	set, errno := c.sigset(0)
	if errno != abi.OK {
		return errno
	}
	if c.t.SuspendSignals(set) == kernel.Interrupted {
		return errRestart
	}
	return abi.EINTR
}

// signalInfo tells what the handler that runs was called for: the siginfo_t of
// SA_SIGINFO.
func signalInfo(c *call) abi.Errno {
	out, errno := c.out(0, siginfoSize)
	if errno != abi.OK {
		return errno
	}
	info, ok := c.t.Signalled()
	if !ok {
		return abi.EINVAL
	}
	putSiginfo(out, info)
	return abi.OK
}

// directorySet is fchdir(2).
func directorySet(c *call) abi.Errno {
	cwd := c.t.Group().CWD()
	if cwd == nil {
		return abi.ENOTSUP
	}
	f, errno := c.file(0, 0)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	return cwd.Fchdir(f)
}

// limitSize is the size of stasis_limit: soft and hard limit of 64 bits.
const limitSize = 16

// limitGet is getrlimit(2).
func limitGet(c *call) abi.Errno {
	out, errno := c.out(1, limitSize)
	if errno != abi.OK {
		return errno
	}
	soft, hard, ok := c.t.Group().Rlimit(c.u32(0))
	if !ok {
		return abi.EINVAL
	}
	le.PutUint64(out, soft)
	le.PutUint64(out[8:], hard)
	return abi.OK
}

// limitSet is setrlimit(2), of the limits that processes may change.
func limitSet(c *call) abi.Errno {
	in, errno := c.out(1, limitSize)
	if errno != abi.OK {
		return errno
	}
	soft, hard := le.Uint64(in), le.Uint64(in[8:])
	switch {
	case c.u32(0) >= kernel.NRlimits || soft > hard:
		return abi.EINVAL
	case c.u32(0) != kernel.RlimitNoFile:
		return abi.ENOTSUP
	case soft > uint64(c.t.Group().MaxFiles()):
		return abi.EPERM
	}
	c.files().SetLimit(int(soft))
	return abi.OK
}
