package wasi

import "github.com/stasis-run/stasis/internal/abi"

// clockNow returns the time of a clock in ns, or EINVAL.
func (c *call) clockNow(id abi.ClockID) (uint64, abi.Errno) {
	clocks := c.t.Kernel().Clocks()
	switch id {
	case abi.ClockRealtime:
		return uint64(clocks.Wall()), abi.OK
	case abi.ClockMonotonic:
		return uint64(clocks.Monotonic()), abi.OK
	case abi.ClockProcessCPU:
		return uint64(c.t.Group().CPUTime()), abi.OK
	case abi.ClockThreadCPU:
		return uint64(c.t.CPUTime()), abi.OK
	}
	return 0, abi.EINVAL
}

func clockTimeGet(c *call) abi.Errno {
	out, errno := c.out(2, 8)
	if errno != abi.OK {
		return errno
	}
	now, errno := c.clockNow(abi.ClockID(c.u32(0)))
	if errno == abi.OK {
		le.PutUint64(out, now)
	}
	return errno
}

// clockResGet tells 1 ns, which is what the clocks count in.
func clockResGet(c *call) abi.Errno {
	out, errno := c.out(1, 8)
	if errno != abi.OK {
		return errno
	}
	if c.u32(0) > uint32(abi.ClockThreadCPU) {
		return abi.EINVAL
	}
	le.PutUint64(out, 1)
	return abi.OK
}
