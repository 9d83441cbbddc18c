package abi

import "encoding/binary"

var le = binary.LittleEndian

// Sizes in bytes of the structs in guest memory.
const (
	FdstatSize       = 24
	FilestatSize     = 64
	PrestatSize      = 8
	DirentSize       = 24 // the name follows
	EventSize        = 32
	SubscriptionSize = 48
	IovecSize        = 8
)

// StartCookie is the cookie of a directory's first entry.
const StartCookie uint64 = 0

// Fdstat is what fd_fdstat_get tells.
type Fdstat struct {
	Filetype         Filetype
	Flags            FDFlags
	RightsBase       Rights
	RightsInheriting Rights
}

// Put writes s to b, which has FdstatSize bytes.
func (s *Fdstat) Put(b []byte) {
	clear(b[:FdstatSize])
	b[0] = byte(s.Filetype)
	le.PutUint16(b[2:], uint16(s.Flags))
	le.PutUint64(b[8:], uint64(s.RightsBase))
	le.PutUint64(b[16:], uint64(s.RightsInheriting))
}

// Filestat is what is known of a file. Times are in ns since 1970.
type Filestat struct {
	Dev, Ino         uint64
	Filetype         Filetype
	Nlink            uint64
	Size             uint64 // bytes
	Atim, Mtim, Ctim uint64
}

// Put writes f to b, which has FilestatSize bytes.
func (f *Filestat) Put(b []byte) {
	clear(b[:FilestatSize])
	le.PutUint64(b, f.Dev)
	le.PutUint64(b[8:], f.Ino)
	b[16] = byte(f.Filetype)
	le.PutUint64(b[24:], f.Nlink)
	le.PutUint64(b[32:], f.Size)
	le.PutUint64(b[40:], f.Atim)
	le.PutUint64(b[48:], f.Mtim)
	le.PutUint64(b[56:], f.Ctim)
}

// Prestat describes a preopened directory, the only kind of preopen there is.
type Prestat struct {
	NameLen uint32
}

// Put writes p to b, which has PrestatSize bytes.
func (p *Prestat) Put(b []byte) {
	clear(b[:PrestatSize])
	le.PutUint32(b[4:], p.NameLen)
}

// Dirent is the head of a directory entry; the name follows.
type Dirent struct {
	Next     uint64 // cookie of what comes after
	Ino      uint64
	NameLen  uint32
	Filetype Filetype
}

// Put writes d to b, which has DirentSize bytes.
func (d *Dirent) Put(b []byte) {
	clear(b[:DirentSize])
	le.PutUint64(b, d.Next)
	le.PutUint64(b[8:], d.Ino)
	le.PutUint32(b[16:], d.NameLen)
	b[20] = byte(d.Filetype)
}

// Iovec is a buffer in guest memory.
type Iovec struct {
	Ptr, Len uint32
}

// GetIovec reads an Iovec from b, which has IovecSize bytes.
func GetIovec(b []byte) Iovec {
	return Iovec{le.Uint32(b), le.Uint32(b[4:])}
}
