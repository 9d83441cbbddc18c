package wasi

import (
	"math"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
)

// callbackSignal names the export that is called for signals. WASIX's library
// names one that there is not to block them all.
func callbackSignal(c *call) abi.Errno {
	name, errno := c.str(0)
	if errno != abi.OK {
		return errno
	}
	if err := c.t.Group().SetHandler(name); err != nil {
		c.t.Kernel().Log().Debug("signals are held", "process", c.t.Group().ID(), "err", err)
	}
	return abi.OK
}

// signalArg is the signal in argument i, by Linux's numbers.
func (c *call) signalArg(i int) (int32, abi.Errno) {
	if n := c.u32(i); n <= maxSignals {
		return int32(n), abi.OK
	}
	return 0, abi.EINVAL
}

func procSignal(c *call) abi.Errno {
	if c.sent() {
		return abi.OK
	}
	sig, errno := c.signalArg(1)
	if errno != abi.OK {
		return errno
	}
	g := c.t.Group()
	info := kernel.SigInfo{Signo: sig, Code: kernel.SIUser, PID: g.ID()}
	return c.afterHandlers(c.kernelErrno("kill", g.Kill(kernel.TaskID(c.u32(0)), info)))
}

// sent reports whether the call has sent its signal before, and is made again.
func (c *call) sent() bool { return c.t.Restart().Set }

// afterHandlers is the result of a call that has sent a signal. A handler that is to
// run for it in the caller runs before the call returns (POSIX, kill()): the call ends
// when it is made again.
func (c *call) afterHandlers(errno abi.Errno) abi.Errno {
	if errno != abi.OK || !c.t.HandlerWaits() {
		return errno
	}
	c.t.Restart().Set = true
	return errRestart
}

// mainThread is what WASIX calls the first thread of a process.
const mainThread = 0x3fffffff

// thread finds a task of the own process.
func (c *call) thread(tid uint32) (*kernel.Task, abi.Errno) {
	g := c.t.Group()
	if tid == mainThread || kernel.TaskID(tid) == g.ID() {
		return g.Leader(), abi.OK
	}
	t, ok := c.t.Kernel().Tasks().Get(kernel.TaskID(tid))
	if !ok || t.Group() != g {
		return nil, abi.ESRCH
	}
	return t, abi.OK
}

func threadSignal(c *call) abi.Errno {
	if c.sent() {
		return abi.OK
	}
	sig, errno := c.signalArg(1)
	if errno != abi.OK {
		return errno
	}
	t, errno := c.thread(c.u32(0))
	if errno != abi.OK {
		return errno
	}
	info := kernel.SigInfo{Signo: sig, Code: kernel.SITkill, PID: c.t.Group().ID()}
	return c.afterHandlers(c.kernelErrno("thread_signal", t.SendInfo(info)))
}

// procRaiseInterval has the process get a signal after ns, and again and again if
// argument 2 says so; 0 ends that.
func procRaiseInterval(c *call) abi.Errno {
	sig, errno := c.signalArg(0)
	if errno != abi.OK {
		return errno
	}
	repeat, errno := c.flag(2)
	if errno != abi.OK {
		return errno
	}
	ns := int64(min(c.u64(1), math.MaxInt64))
	every := ns
	if !repeat {
		every = 0
	}
	if _, _, err := c.t.Group().SetInterval(sig, ns, every); err != nil {
		return abi.EINVAL
	}
	return abi.OK
}

// itimerSize is the size of itimerval_t: the interval and what is left, each in
// seconds and microseconds of 64 bits.
const itimerSize = 32

// procRaiseInterval2 is setitimer(2) and, without a new value, getitimer(2).
func procRaiseInterval2(c *call) abi.Errno {
	sig, errno := c.signalArg(0)
	if errno != abi.OK || sig == 0 {
		return abi.EINVAL
	}
	g := c.t.Group()
	left, every := g.Interval(sig)
	if c.u32(1) != 0 {
		in, errno := c.out(1, itimerSize)
		if errno != abi.OK {
			return errno
		}
		interval, ok1 := timeval(in)
		value, ok2 := timeval(in[16:])
		if !ok1 || !ok2 {
			return abi.EINVAL
		}
		if c.u32(2) != 0 {
			if _, errno := c.out(2, itimerSize); errno != abi.OK {
				return errno
			}
		}
		var err error
		if left, every, err = g.SetInterval(sig, value, interval); err != nil {
			return abi.EINVAL
		}
	}
	if c.u32(2) == 0 {
		return abi.OK
	}
	out, errno := c.out(2, itimerSize)
	if errno != abi.OK {
		return errno
	}
	putTimeval(out, every)
	putTimeval(out[16:], left)
	return abi.OK
}

// timeval reads seconds and microseconds as ns.
func timeval(b []byte) (ns int64, ok bool) {
	sec, usec := le.Uint64(b), le.Uint64(b[8:])
	if usec >= 1e6 || sec > math.MaxInt64/2_000_000_000 {
		return 0, false
	}
	return int64(sec)*1e9 + int64(usec)*1e3, true
}

// putTimeval writes ns, rounded up.
func putTimeval(b []byte, ns int64) {
	us := uint64(ns+999) / 1e3
	le.PutUint64(b, us/1e6)
	le.PutUint64(b[8:], us%1e6)
}

// A disposition is what proc_signals_get tells of a signal.
type disposition struct {
	sig     int32
	ignored bool
}

// told lists dispositions: of the signals that the process ignores, or of one that it
// does not. WASIX's library sets its defaults up when it is told of a signal; otherwise
// it calls a function that is not there.
func (c *call) told() (list []disposition) {
	for _, sig := range c.t.Group().Dispositions() {
		list = append(list, disposition{sig, true})
	}
	if list == nil {
		list = append(list, disposition{kernel.SIGTERM, false})
	}
	return list
}

// procSignalsGet tells the signals that the process was begun with ignored.
func procSignalsGet(c *call) abi.Errno {
	list := c.told()
	out, errno := c.out(0, uint64(len(list))*2)
	if errno != abi.OK {
		return errno
	}
	c.t.Group().ToldDispositions()
	for i, d := range list {
		out[2*i], out[2*i+1] = uint8(d.sig), 0
		if d.ignored {
			out[2*i+1] = 1
		}
	}
	return abi.OK
}

func procSignalsSizesGet(c *call) abi.Errno {
	return c.put32(0, uint32(len(c.told())))
}
