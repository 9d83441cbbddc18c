package wasi

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
)

// threadSpawnV2 makes a thread at the module's export for that, which takes its
// number and where its arguments are. The number is there before the thread runs.
func threadSpawnV2(c *call) abi.Errno {
	out, errno := c.out(1, 4)
	if errno != abi.OK {
		return errno
	}
	arg := uint64(c.u32(0))
	_, err := c.t.Spawn(threadStart, func(tid kernel.TaskID) []uint64 {
		le.PutUint32(out, uint32(tid))
		return []uint64{uint64(uint32(tid)), arg}
	})
	return c.kernelErrno("thread_spawn", err)
}

func threadID(c *call) abi.Errno { return c.put32(0, uint32(c.t.ID())) }

func threadParallelism(c *call) abi.Errno { return c.put32(0, uint32(max(c.env.Parallelism, 1))) }

// threadExit ends the thread. The first one's end is that of the process, as that
// of the program's main function is.
func threadExit(c *call) abi.Errno {
	if g := c.t.Group(); g.Leader() == c.t {
		g.Exit(int32(c.u32(0)))
	} else {
		c.t.Exit()
	}
	return errGone
}

// threadJoin waits until a thread has ended.
func threadJoin(c *call) abi.Errno {
	t, errno := c.thread(c.u32(0))
	if errno != abi.OK {
		return c.joined(c.u32(0))
	}
	if t == c.t {
		return abi.EDEADLK
	}
	ended := func() bool { return t.State() == kernel.Dead }
	switch c.t.Block(kernel.Never, ended, c.t.Group().ChildChanges()) {
	case kernel.Interrupted:
		return errRestart
	case kernel.Signalled:
		return abi.EINTR
	}
	return abi.OK
}

// joined is the result for a thread that there is not: it has ended, if its number
// was given to any.
func (c *call) joined(tid uint32) abi.Errno {
	if c.t.Kernel().Tasks().Given(kernel.TaskID(tid)) {
		return abi.OK
	}
	return abi.ESRCH
}

func threadSleep(c *call) abi.Errno {
	return c.sleep(int64(min(c.u64(0), math.MaxInt64)))
}

// sleep waits for ns.
func (c *call) sleep(ns int64) abi.Errno {
	r := c.t.Restart()
	if !r.Set {
		r.Set, r.Deadline = true, add(c.t.Kernel().Clocks().Monotonic(), ns)
	}
	switch c.t.Block(r.Deadline, nil) {
	case kernel.Interrupted:
		return errRestart
	case kernel.Signalled:
		return abi.EINTR
	}
	return abi.OK
}

// futexAddr checks the address in argument i.
func (c *call) futexAddr(i int) abi.Errno {
	if c.u32(i)%4 != 0 {
		return abi.EINVAL
	}
	_, errno := c.out(i, 4)
	return errno
}

// optionTimestampSize is the size of option_timestamp_t.
const optionTimestampSize = 16

// timeout reads an option_timestamp_t: ns, or -1 for ever.
func (c *call) timeout(i int) (int64, abi.Errno) {
	if c.u32(i) == 0 {
		return -1, abi.OK
	}
	b, errno := c.out(i, optionTimestampSize)
	if errno != abi.OK {
		return 0, errno
	}
	switch b[0] {
	case 0:
		return -1, abi.OK
	case 1:
		return int64(min(le.Uint64(b[8:]), math.MaxInt64)), abi.OK
	}
	return 0, abi.EINVAL
}

// futexWait waits while the word at argument 0 is argument 1. It tells whether the
// wait ended by anything but its time.
func futexWait(c *call) abi.Errno {
	if errno := c.futexAddr(0); errno != abi.OK {
		return errno
	}
	timeout, errno := c.timeout(2)
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(3, 1)
	if errno != abi.OK {
		return errno
	}
	word := (*uint32)(unsafe.Pointer(&c.mem[c.u32(0)]))
	expected := c.u32(1)
	got, outcome := c.t.FutexWait(uint64(c.u32(0)), timeout, func() bool { return atomic.LoadUint32(word) == expected })
	if outcome == kernel.Again {
		return errRestart
	}
	if got == kernel.FutexSignalled {
		return abi.EINTR
	}
	out[0] = 1
	if got == kernel.FutexTimedOut {
		out[0] = 0
	}
	return abi.OK
}

func futexWake(c *call) abi.Errno    { return c.wake(1) }
func futexWakeAll(c *call) abi.Errno { return c.wake(math.MaxUint32) }

// wake wakes at most n tasks, and tells whether there was any.
func (c *call) wake(n uint32) abi.Errno {
	if errno := c.futexAddr(0); errno != abi.OK {
		return errno
	}
	out, errno := c.out(1, 1)
	if errno != abi.OK {
		return errno
	}
	out[0] = 0
	if c.t.FutexWake(uint64(c.u32(0)), n) > 0 {
		out[0] = 1
	}
	return abi.OK
}
