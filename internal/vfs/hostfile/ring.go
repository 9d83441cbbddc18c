package hostfile

// A ring is a bounded queue of bytes. It has no lock of its own.
type ring struct {
	buf   []byte
	start int // of the oldest byte
	n     int // bytes held
}

func newRing(size int) ring { return ring{buf: make([]byte, size)} }

// free is how many bytes put would take.
func (r *ring) free() int { return len(r.buf) - r.n }

// put takes as much of p as there is room for.
func (r *ring) put(p []byte) int {
	p = p[:min(len(p), r.free())]
	end := (r.start + r.n) % len(r.buf)
	done := copy(r.buf[end:], p)
	copy(r.buf, p[done:])
	r.n += len(p)
	return len(p)
}

// get moves the oldest bytes into p.
func (r *ring) get(p []byte) int {
	n := r.peek(p)
	r.drop(n)
	return n
}

// peek copies the oldest bytes into p.
func (r *ring) peek(p []byte) int {
	p = p[:min(len(p), r.n)]
	done := copy(p, r.buf[r.start:])
	copy(p[done:], r.buf)
	return len(p)
}

// drop forgets the n oldest bytes.
func (r *ring) drop(n int) {
	r.start = (r.start + n) % len(r.buf)
	r.n -= n
}

// bytes returns a copy of what is held.
func (r *ring) bytes() []byte {
	p := make([]byte, r.n)
	r.peek(p)
	return p
}
