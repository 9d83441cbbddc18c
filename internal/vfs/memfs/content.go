package memfs

import "github.com/stasis-run/stasis/internal/abi"

const (
	// blockSize is what the quota counts in, and what a chunk grows by.
	blockSize = 4 << 10

	// chunkSize is how much of a file one chunk covers. Small enough to copy
	// when a saved one is written to, large enough that a file of a gigabyte
	// has 16 Ki of them.
	chunkSize = 64 << 10
)

// content is what a regular file holds. All of it is protected by FS.mu.
type content struct {
	size   int64
	chunks map[int64]*chunk // by offset / chunkSize; those never written are not there
}

// chunk is a piece of a file. What lies beyond its bytes, up to chunkSize, is
// zero. Bytes beyond the file's size are zero, so that growing shows nothing
// old.
type chunk struct {
	b      []byte // a multiple of blockSize
	shared bool   // a State refers to b: writing needs a copy
}

// readAt copies what lies at off into p, as far as the file reaches.
func (c *content) readAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		piece := p[done:min(len(p), done+int(chunkSize-at%chunkSize))]
		got := 0
		if k := c.chunks[at/chunkSize]; k != nil && at%chunkSize < int64(len(k.b)) {
			got = copy(piece, k.b[at%chunkSize:])
		}
		clear(piece[got:])
		done += len(piece)
	}
	return len(p)
}

// writeAt copies p to off, and returns how much of it there was room for. It
// is less than len(p) only with an errno.
func (c *content) writeAt(fs *FS, p []byte, off int64) (int, abi.Errno) {
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= maxFileSize {
			return done, abi.EFBIG
		}
		piece := p[done:min(len(p), done+int(chunkSize-at%chunkSize))]
		k, errno := c.reserve(fs, at/chunkSize, at%chunkSize+int64(len(piece)))
		if errno != abi.OK {
			return done, errno
		}
		copy(k.b[at%chunkSize:], piece)
		done += len(piece)
		c.size = max(c.size, at+int64(len(piece)))
	}
	return done, abi.OK
}

// reserve returns chunk i for writing, with at least n bytes.
func (c *content) reserve(fs *FS, i, n int64) (*chunk, abi.Errno) {
	k := c.chunks[i]
	have := int64(0)
	if k != nil {
		have = int64(len(k.b))
	}
	want := max(have, (n+blockSize-1)/blockSize*blockSize)
	more := (want - have) / blockSize
	if !fs.takeLocked(more) {
		return nil, abi.ENOSPC
	}
	if k == nil {
		k = &chunk{}
		if c.chunks == nil {
			c.chunks = make(map[int64]*chunk)
		}
		c.chunks[i] = k
	}
	k.grow(want)
	return k, abi.OK
}

// grow makes k's bytes its own, and want of them. The capacity doubles, so
// that a file that grows block by block is not copied each time; what lies
// between length and capacity was never written.
func (k *chunk) grow(want int64) {
	have := int64(len(k.b))
	switch {
	case !k.shared && want == have:
	case !k.shared && want <= int64(cap(k.b)):
		k.b = k.b[:want]
	default:
		b := make([]byte, want, max(want, min(2*have, chunkSize)))
		copy(b, k.b)
		k.b, k.shared = b, false
	}
}

// resize cuts or extends to size. It never needs room.
func (c *content) resize(fs *FS, size int64) {
	if size < c.size {
		for i, k := range c.chunks {
			keep := min(max(size-i*chunkSize, 0), int64(len(k.b)))
			c.cut(fs, i, k, keep)
		}
	}
	c.size = size
}

// cut makes chunk i hold no more than keep bytes.
func (c *content) cut(fs *FS, i int64, k *chunk, keep int64) {
	have := int64(len(k.b))
	if keep == have {
		return
	}
	blocks := (keep + blockSize - 1) / blockSize
	fs.giveLocked(have/blockSize - blocks)
	if blocks == 0 {
		delete(c.chunks, i)
		return
	}
	if k.shared {
		k.b, k.shared = append([]byte(nil), k.b[:blocks*blockSize]...), false
	}
	k.b = k.b[: blocks*blockSize : blocks*blockSize]
	clear(k.b[keep:])
}

// allocate makes room for the n bytes at off, and lets the file reach that
// far. On failure it keeps what it got, as a write would have.
func (c *content) allocate(fs *FS, off, n int64) abi.Errno {
	if n > maxFileSize || off > maxFileSize-n {
		return abi.EFBIG
	}
	// Ask before taking: a request that cannot be met should not fill the
	// quota first. It may count blocks that are there already.
	left := min(fs.opts.Bytes/blockSize-fs.blocks, fs.opts.Budget.Left()/blockSize)
	if end := off + n; end > c.size && (end-max(off, c.size))/blockSize > left {
		return abi.ENOSPC
	}
	for at := off; at < off+n; {
		end := min(off+n, (at/chunkSize+1)*chunkSize)
		if _, errno := c.reserve(fs, at/chunkSize, end-at/chunkSize*chunkSize); errno != abi.OK {
			return errno
		}
		at = end
	}
	c.size = max(c.size, off+n)
	return abi.OK
}
