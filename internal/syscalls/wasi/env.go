package wasi

import (
	"io"

	"github.com/stasis-run/stasis/internal/abi"
)

func argsGet(c *call) abi.Errno         { return c.putStrings(c.t.Group().Args()) }
func argsSizesGet(c *call) abi.Errno    { return c.putStringSizes(c.t.Group().Args()) }
func environGet(c *call) abi.Errno      { return c.putStrings(c.t.Group().Env()) }
func environSizesGet(c *call) abi.Errno { return c.putStringSizes(c.t.Group().Env()) }

// stringsSize returns how many bytes list takes, with a NUL after each.
func stringsSize(list []string) uint64 {
	var n uint64
	for _, s := range list {
		n += uint64(len(s)) + 1
	}
	return n
}

// putStrings writes a pointer to each string to the first argument, and the
// strings to the second.
func (c *call) putStrings(list []string) abi.Errno {
	ptrs, errno := c.out(0, uint64(len(list))*4)
	if errno != abi.OK {
		return errno
	}
	buf, errno := c.out(1, stringsSize(list))
	if errno != abi.OK {
		return errno
	}
	at := c.u32(1)
	for i, s := range list {
		le.PutUint32(ptrs[4*i:], at)
		n := copy(buf, s)
		buf[n] = 0
		buf = buf[n+1:]
		at += uint32(n) + 1
	}
	return abi.OK
}

func (c *call) putStringSizes(list []string) abi.Errno {
	count, errno := c.out(0, 4)
	if errno != abi.OK {
		return errno
	}
	bytes, errno := c.out(1, 4)
	if errno != abi.OK {
		return errno
	}
	n := stringsSize(list)
	if n > 1<<32-1 {
		return abi.EOVERFLOW
	}
	le.PutUint32(count, uint32(len(list)))
	le.PutUint32(bytes, uint32(n))
	return abi.OK
}

// randomGet fills a buffer with random bytes.
func randomGet(c *call) abi.Errno {
	buf, errno := c.out(0, uint64(c.u32(1)))
	if errno != abi.OK {
		return errno
	}
	var err error
	if c.env.Random != nil {
		_, err = io.ReadFull(c.env.Random, buf)
	} else {
		err = c.t.Kernel().ReadRandom(buf)
	}
	if err != nil {
		return abi.EIO
	}
	return abi.OK
}

// schedYield lets other tasks run.
func schedYield(c *call) abi.Errno {
	c.t.YieldSlot()
	return abi.OK
}

// procRaise sends a signal to the own process, by preview 1's numbers. It returns to the guest, who
// leaves at its next safepoint if that was the end, or a stop.
func procRaise(c *call) abi.Errno {
	n := c.u32(0)
	if n > uint32(abi.SIGSYS) {
		return abi.EINVAL
	}
	if err := c.t.Group().Signal(abi.Signal(n).Linux()); err != nil {
		return abi.EINVAL
	}
	return abi.OK
}
