package abi

// Rights says what may be done through an fd, one bit for each kind of call.
type Rights uint64

// The rights of WASI preview 1.
const (
	RightFDDatasync Rights = 1 << iota
	RightFDRead
	RightFDSeek
	RightFDFdstatSetFlags
	RightFDSync
	RightFDTell
	RightFDWrite
	RightFDAdvise
	RightFDAllocate
	RightPathCreateDirectory
	RightPathCreateFile
	RightPathLinkSource
	RightPathLinkTarget
	RightPathOpen
	RightFDReaddir
	RightPathReadlink
	RightPathRenameSource
	RightPathRenameTarget
	RightPathFilestatGet
	RightPathFilestatSetSize
	RightPathFilestatSetTimes
	RightFDFilestatGet
	RightFDFilestatSetSize
	RightFDFilestatSetTimes
	RightPathSymlink
	RightPathRemoveDirectory
	RightPathUnlinkFile
	RightPollFDReadwrite
	RightSockShutdown
	RightSockAccept
)

// Sets of rights.
const (
	// RightsAll is every right there is.
	RightsAll Rights = 1<<30 - 1

	// RightsFile is what makes sense on a regular file.
	RightsFile = RightFDDatasync | RightFDRead | RightFDSeek | RightFDFdstatSetFlags |
		RightFDSync | RightFDTell | RightFDWrite | RightFDAdvise | RightFDAllocate |
		RightFDFilestatGet | RightFDFilestatSetSize | RightFDFilestatSetTimes |
		RightPollFDReadwrite

	// RightsDir is what makes sense on a directory.
	RightsDir = RightFDFdstatSetFlags | RightFDSync | RightFDDatasync | RightFDAdvise |
		RightPathCreateDirectory | RightPathCreateFile | RightPathLinkSource |
		RightPathLinkTarget | RightPathOpen | RightFDReaddir | RightPathReadlink |
		RightPathRenameSource | RightPathRenameTarget | RightPathFilestatGet |
		RightPathFilestatSetSize | RightPathFilestatSetTimes | RightFDFilestatGet |
		RightFDFilestatSetTimes | RightPathSymlink | RightPathRemoveDirectory |
		RightPathUnlinkFile | RightPollFDReadwrite

	// RightsDirInheriting is what a preopened directory hands down.
	RightsDirInheriting = RightsDir | RightsFile

	// RightsStream is for pipes, terminals and other things without an offset.
	// That RightFDSeek and RightFDTell are missing is how wasi-libc's isatty
	// tells a terminal from other character devices.
	RightsStream = RightFDRead | RightFDWrite | RightFDFdstatSetFlags |
		RightFDFilestatGet | RightPollFDReadwrite

	// RightsSocket is for a stream socket.
	RightsSocket = RightsStream | RightSockShutdown

	// RightsListener is for a listening socket.
	RightsListener = RightsSocket | RightSockAccept

	// RightsWrite are the rights that ask for a file to be opened for writing.
	RightsWrite = RightFDWrite | RightFDAllocate | RightFDFilestatSetSize

	// RightsRead are the rights that ask for a file to be opened for reading.
	RightsRead = RightFDRead | RightFDReaddir
)

// Has reports whether r has all of want.
func (r Rights) Has(want Rights) bool { return r&want == want }
