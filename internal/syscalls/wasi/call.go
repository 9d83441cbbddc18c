package wasi

import (
	"encoding/binary"
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

var le = binary.LittleEndian

// What a call returns in place of an errno when it has no result. Guests never
// see them.
const (
	errRestart abi.Errno = 0xffff // make the call again: kernel.Again
	errGone    abi.Errno = 0xfffe // the task exits: kernel.Gone
)

// Limits on what one call may be given.
const (
	maxIovs          = 1024    // buffers, as Linux has it
	maxTransfer      = 1 << 30 // bytes in one read or write; the rest is a short count
	maxSubscriptions = 1 << 16 // of poll_oneoff
)

// A call is one system call in progress.
type call struct {
	t        *kernel.Task
	args     []uint64 // not to be changed
	mem      []byte   // the guest's memory; it does not grow during a call
	unstable bool     // of wasi_unstable
	env      *Options
	few      [fewIovs][]byte // where iovs puts buffers if they are few
}

// fewIovs is how many buffers a read or write mostly has at most.
const fewIovs = 4

// calls holds calls that are over, for the next ones: programs make many of
// them, and Go's collector rarely runs (kernel.OwnCollector).
var calls = sync.Pool{New: func() any { return new(call) }}

func (c *call) u32(i int) uint32 { return uint32(c.args[i]) }
func (c *call) u64(i int) uint64 { return c.args[i] }
func (c *call) fd(i int) vfs.FD  { return vfs.FD(c.args[i]) }

// u16 returns argument i, which has 16 bits at the guest: higher ones must not
// be set.
func (c *call) u16(i int) (uint16, abi.Errno) {
	if v := c.u32(i); v <= 0xffff {
		return uint16(v), abi.OK
	}
	return 0, abi.EINVAL
}

func (c *call) files() *vfs.FDTable { return c.t.Group().Files() }

// bytes returns n bytes of guest memory at ptr.
func (c *call) bytes(ptr uint32, n uint64) ([]byte, abi.Errno) {
	end := uint64(ptr) + n
	if n > 1<<32 || end > uint64(len(c.mem)) {
		return nil, abi.EFAULT
	}
	return c.mem[ptr:end:end], abi.OK
}

// out returns the n bytes that pointer argument i points to.
func (c *call) out(i int, n uint64) ([]byte, abi.Errno) { return c.bytes(c.u32(i), n) }

// str returns a copy of the string whose pointer and length are arguments i
// and i+1. Too long for a path is ENAMETOOLONG.
func (c *call) str(i int) (string, abi.Errno) {
	b, errno := c.out(i, uint64(c.u32(i+1)))
	if errno != abi.OK {
		return "", errno
	}
	if len(b) > vfs.MaxPath {
		return "", abi.ENAMETOOLONG
	}
	return string(b), abi.OK
}

// iovs returns the buffers whose array and number are arguments i and i+1. All
// are checked; what is beyond maxTransfer is left out.
func (c *call) iovs(i int) ([][]byte, abi.Errno) {
	n := c.u32(i + 1)
	if n > maxIovs {
		return nil, abi.EINVAL
	}
	array, errno := c.out(i, uint64(n)*abi.IovecSize)
	if errno != abi.OK {
		return nil, errno
	}
	bufs := c.few[:0]
	if n > fewIovs {
		bufs = make([][]byte, 0, n)
	}
	room := maxTransfer
	for ; len(array) > 0; array = array[abi.IovecSize:] {
		v := abi.GetIovec(array)
		b, errno := c.bytes(v.Ptr, uint64(v.Len))
		if errno != abi.OK {
			return nil, errno
		}
		if len(b) > room {
			b = b[:room]
		}
		room -= len(b)
		if len(b) > 0 {
			bufs = append(bufs, b)
		}
	}
	return bufs, abi.OK
}

// size returns how many bytes bufs hold.
func size(bufs [][]byte) int {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

// skip returns bufs without their first n bytes.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n == 0 || len(bufs) == 0 {
		return bufs
	}
	return append([][]byte{bufs[0][n:]}, bufs[1:]...)
}

// file returns the open file at the fd in argument i; the caller gives the
// reference back.
func (c *call) file(i int, need abi.Rights) (*vfs.OpenFile, abi.Errno) {
	return c.files().Get(c.fd(i), need)
}
