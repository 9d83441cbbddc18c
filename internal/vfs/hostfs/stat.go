package hostfs

import (
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// filestat is st as a guest sees it.
func filestat(st *unix.Stat_t) abi.Filestat {
	return abi.Filestat{
		Dev:      uint64(st.Dev),
		Ino:      st.Ino,
		Filetype: filetype(st.Mode),
		Nlink:    uint64(st.Nlink),
		Size:     uint64(st.Size),
		Atim:     nanos(st.Atim),
		Mtim:     nanos(st.Mtim),
		Ctim:     nanos(st.Ctim),
	}
}

// nanos is a time in ns since 1970; WASI has none before.
func nanos(ts unix.Timespec) uint64 { return uint64(max(0, ts.Nano())) }

// filetype is the type in a mode. WASI has none for fifos.
func filetype(mode uint32) abi.Filetype {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return abi.FiletypeRegularFile
	case unix.S_IFDIR:
		return abi.FiletypeDirectory
	case unix.S_IFLNK:
		return abi.FiletypeSymbolicLink
	case unix.S_IFCHR:
		return abi.FiletypeCharacterDevice
	case unix.S_IFBLK:
		return abi.FiletypeBlockDevice
	case unix.S_IFSOCK:
		return abi.FiletypeSocketStream
	}
	return abi.FiletypeUnknown
}

// direntType is the type in an entry of a directory. DT_… is the type bits of
// the mode.
func direntType(typ uint8) abi.Filetype { return filetype(uint32(typ) << 12) }

// timespecs is t as utimensat takes it.
func timespecs(t vfs.Times) []unix.Timespec {
	const omit = (1 << 30) - 2 // UTIME_OMIT
	ts := []unix.Timespec{{Nsec: omit}, {Nsec: omit}}
	if t.SetAtim {
		ts[0] = unix.NsecToTimespec(t.Atim)
	}
	if t.SetMtim {
		ts[1] = unix.NsecToTimespec(t.Mtim)
	}
	return ts
}
