package abi

import "strconv"

// Filetype says what a file is.
type Filetype uint8

// The file types.
const (
	FiletypeUnknown Filetype = iota
	FiletypeBlockDevice
	FiletypeCharacterDevice
	FiletypeDirectory
	FiletypeRegularFile
	FiletypeSocketDgram
	FiletypeSocketStream
	FiletypeSymbolicLink
)

var filetypeNames = [...]string{"unknown", "block device", "character device",
	"directory", "regular file", "datagram socket", "stream socket", "symbolic link"}

// String returns the type in words.
func (t Filetype) String() string {
	if int(t) < len(filetypeNames) {
		return filetypeNames[t]
	}
	return "filetype(" + strconv.Itoa(int(t)) + ")"
}

// FDFlags are the flags of an open file, shared by all fds that refer to it.
type FDFlags uint16

// The flags of an open file.
const (
	FDAppend FDFlags = 1 << iota
	FDDsync
	FDNonblock
	FDRsync
	FDSync

	FDFlagsAll = FDAppend | FDDsync | FDNonblock | FDRsync | FDSync
)

// FDFlagsExt are the flags of one fd, as WASIX has them.
type FDFlagsExt uint16

// FDCloexec closes the fd on exec.
const FDCloexec FDFlagsExt = 1

// OFlags say how path_open opens.
type OFlags uint16

// The flags of path_open.
const (
	OCreat OFlags = 1 << iota
	ODirectory
	OExcl
	OTrunc

	OFlagsAll = OCreat | ODirectory | OExcl | OTrunc
)

// LookupFlags say how a path is resolved.
type LookupFlags uint32

// SymlinkFollow follows a symbolic link in the last component.
const SymlinkFollow LookupFlags = 1

// FstFlags say which times are set, and to what.
type FstFlags uint16

// The flags of the filestat_set_times calls.
const (
	FstAtim FstFlags = 1 << iota
	FstAtimNow
	FstMtim
	FstMtimNow

	FstFlagsAll = FstAtim | FstAtimNow | FstMtim | FstMtimNow
)

// Whence is the base of a seek, in the numbering of preview 1.
type Whence uint8

// The bases of a seek.
const (
	SeekSet Whence = iota
	SeekCur
	SeekEnd
)

// WhenceUnstable translates the numbering of wasi_unstable (cur, end, set).
// Unknown numbers stay unknown.
func WhenceUnstable(w uint8) Whence {
	if w > 2 {
		return Whence(w)
	}
	return [...]Whence{SeekCur, SeekEnd, SeekSet}[w]
}

// Advice is the hint of fd_advise.
type Advice uint8

// The hints.
const (
	AdviceNormal Advice = iota
	AdviceSequential
	AdviceRandom
	AdviceWillneed
	AdviceDontneed
	AdviceNoreuse
)

// ClockID names a clock.
type ClockID uint32

// The clocks.
const (
	ClockRealtime ClockID = iota
	ClockMonotonic
	ClockProcessCPU
	ClockThreadCPU
)

// RIFlags are the flags of sock_recv.
type RIFlags uint16

// The flags of sock_recv.
const (
	RecvPeek RIFlags = 1 << iota
	RecvWaitall

	RIFlagsAll = RecvPeek | RecvWaitall
)

// ROFlags are the flags that sock_recv returns.
type ROFlags uint16

// RecvTruncated says that a message was longer than the buffers.
const RecvTruncated ROFlags = 1

// SDFlags say which directions sock_shutdown ends.
type SDFlags uint8

// The directions.
const (
	ShutRd SDFlags = 1 << iota
	ShutWr

	SDFlagsAll = ShutRd | ShutWr
)
