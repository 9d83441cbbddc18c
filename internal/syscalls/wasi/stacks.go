package wasi

import "github.com/stasis-run/stasis/internal/abi"

// snapshotSize is the size of stack_snapshot_t: a word of the guest's, and ours of
// 128 bits, which is the number of a mark.
const snapshotSize = 24

// stackCheckpoint is setjmp(3): it returns 0, and again whenever stackRestore is
// given what it wrote, with the value from there.
func stackCheckpoint(c *call) abi.Errno {
	snapshot, errno := c.out(0, snapshotSize)
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(1, 8)
	if errno != abi.OK {
		return errno
	}
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	id, err := c.t.Mark(uint64(c.u32(0)))
	if err != nil {
		return c.kernelErrno("stack_checkpoint", err)
	}
	le.PutUint64(snapshot[8:], id)
	le.PutUint64(snapshot[16:], 0)
	le.PutUint64(out, 0)
	return abi.OK
}

// stackRestore is longjmp(3). It does not return: what there is no mark for ends the
// process, as there is nowhere to go on.
func stackRestore(c *call) abi.Errno {
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	snapshot, errno := c.out(0, snapshotSize)
	if errno == abi.OK {
		errno = c.jump(le.Uint64(snapshot[8:]), c.u64(1))
	}
	if errno != abi.OK {
		c.t.Group().Exit(int32(errno))
	}
	return errGone
}

func (c *call) jump(id, value uint64) abi.Errno {
	args, err := c.t.Jump(id)
	if err != nil {
		return c.kernelErrno("stack_restore", err)
	}
	if len(args) != 2 { // of a state that was made up: marks are made in stackCheckpoint
		return abi.EINVAL
	}
	if value == 0 {
		value = 1 // setjmp(3)
	}
	if out, errno := c.bytes(uint32(args[1]), 8); errno == abi.OK { // it was checked when the mark was made
		le.PutUint64(out, value)
	}
	c.t.Complete([]uint64{0})
	return abi.OK
}

func contextCreate(c *call) abi.Errno {
	out, errno := c.out(0, 8)
	if errno != abi.OK {
		return errno
	}
	id, err := c.t.NewFiber(c.u32(1))
	if err != nil {
		return c.kernelErrno("context_create", err)
	}
	le.PutUint64(out, id)
	return abi.OK
}

func contextSwitch(c *call) abi.Errno {
	if c.u64(0) == c.t.Fiber() {
		return abi.OK
	}
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	if err := c.t.SwitchFiber(c.u64(0), []uint64{0}); err != nil {
		return c.kernelErrno("context_switch", err)
	}
	return errGone
}

func contextDestroy(c *call) abi.Errno {
	return c.kernelErrno("context_destroy", c.t.DropFiber(c.u64(0)))
}
