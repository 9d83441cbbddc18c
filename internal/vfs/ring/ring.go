// Package ring has the bytes in a pipe or a socket: a buffer that is read and
// written in a circle, so that nothing is moved when a part is read.
package ring

// minBuffer is what a Ring that is used at all takes, in bytes.
const minBuffer = 4 << 10

// A Ring is a queue of bytes. It grows when it has to, and is kept then; how
// much there may be in it is its owner's to know. It has no lock. The zero value
// is empty.
type Ring struct {
	buf  []byte // its length is a power of two, or 0
	head int    // of the first byte in buf
	n    int    // bytes in it
}

// Len returns how many bytes are in it.
func (r *Ring) Len() int { return r.n }

// Write puts all of b at the end.
func (r *Ring) Write(b []byte) {
	if need := r.n + len(b); need > len(r.buf) {
		r.grow(need)
	}
	tail := (r.head + r.n) & (len(r.buf) - 1)
	k := copy(r.buf[tail:], b)
	copy(r.buf, b[k:])
	r.n += len(b)
}

// Read moves bytes from the start to b, and returns how many.
func (r *Ring) Read(b []byte) int {
	k := r.Peek(b, 0)
	r.Drop(k)
	return k
}

// Drop forgets the first k bytes, which are there.
func (r *Ring) Drop(k int) {
	r.n -= k
	if r.n == 0 {
		r.head = 0 // the next write is in one piece
	} else {
		r.head = (r.head + k) & (len(r.buf) - 1)
	}
}

// Peek copies bytes from off on to b, and returns how many.
func (r *Ring) Peek(b []byte, off int) int {
	b = b[:min(len(b), r.n-off)]
	if len(b) == 0 {
		return 0
	}
	k := copy(b, r.buf[(r.head+off)&(len(r.buf)-1):])
	copy(b[k:], r.buf)
	return len(b)
}

// grow makes room for n bytes in all.
func (r *Ring) grow(n int) {
	size := max(len(r.buf), minBuffer)
	for size < n {
		size *= 2
	}
	buf := make([]byte, size)
	r.Peek(buf, 0)
	r.buf, r.head = buf, 0
}

// Bytes returns a copy of all that is in it.
func (r *Ring) Bytes() []byte {
	b := make([]byte, r.n)
	r.Peek(b, 0)
	return b
}
