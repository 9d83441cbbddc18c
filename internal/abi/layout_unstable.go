package abi

// Sizes in bytes of the structs that wasi_unstable has in another layout.
const (
	FilestatUnstableSize     = 56
	SubscriptionUnstableSize = 56
)

// PutUnstable writes f to b as wasi_unstable has it: the link count has 32
// bits, and a larger one is told as the largest that fits.
func (f *Filestat) PutUnstable(b []byte) {
	clear(b[:FilestatUnstableSize])
	le.PutUint64(b, f.Dev)
	le.PutUint64(b[8:], f.Ino)
	b[16] = byte(f.Filetype)
	le.PutUint32(b[20:], uint32(min(f.Nlink, 1<<32-1)))
	le.PutUint64(b[24:], f.Size)
	le.PutUint64(b[32:], f.Atim)
	le.PutUint64(b[40:], f.Mtim)
	le.PutUint64(b[48:], f.Ctim)
}

// GetSubscriptionUnstable reads a Subscription in the layout of wasi_unstable,
// where a clock has one more field at the front, an identifier that nothing
// reads.
func GetSubscriptionUnstable(b []byte) Subscription {
	_ = b[SubscriptionUnstableSize-1]
	s := Subscription{Userdata: le.Uint64(b), Type: EventType(b[8])}
	if s.Type == EventClock {
		s.getUnion(b[24:])
	} else {
		s.getUnion(b[16:])
	}
	return s
}
