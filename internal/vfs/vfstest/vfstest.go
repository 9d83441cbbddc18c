// Package vfstest is the suite that each file system runs. It goes through fd
// tables and paths, as a guest does, so that it tests a file system together
// with the vfs above it; what it expects is what Linux and the WASI test suite
// expect.
//
// TestFileSystem is for those that can be written to, TestTree for the others, and
// TestStream for what bytes pass through and belongs to none: pipes, sockets, terminals.
package vfstest

import (
	"testing"

	"github.com/stasis-run/stasis/internal/vfs"
)

// Config says how to test a file system.
type Config struct {
	// New returns an empty file system.
	New func(t *testing.T) vfs.FileSystem

	// Save saves fs while its files are open, and returns what makes it
	// again when they have been closed. A file system that is not saved, such
	// as a host directory, returns what opens it again.
	Save func(t *testing.T, fs vfs.FileSystem) (restore func() vfs.FileSystem)

	// Mode says what the file system does that others do not.
	Mode Mode
}

// Mode is a set of properties of a file system.
type Mode uint

// Properties.
const (
	// UnlinkedDirs says that an open directory which has been removed can be
	// saved.
	UnlinkedDirs Mode = 1 << iota

	// StableInodes says that inode numbers are the same after a restore also
	// for what has no name.
	StableInodes
)

// tests are run one by one, each with a new file system.
var tests = []struct {
	name string
	run  func(h *harness)
}{
	{"open", testOpen},
	{"rights", testRights},
	{"read and write", testReadWrite},
	{"append", testAppend},
	{"positions", testPositions},
	{"size", testSize},
	{"sparse", testSparse},
	{"times", testTimes},
	{"plain names", testPlainNames},
	{"hostile paths", testHostilePaths},
	{"dots", testDots},
	{"symlinks", testSymlinks},
	{"symlink loops", testSymlinkLoops},
	{"trailing slashes", testTrailingSlashes},
	{"mkdir and rmdir", testMkdirRmdir},
	{"removed directory", testRemovedDirectory},
	{"unlink", testUnlink},
	{"link", testLink},
	{"rename files", testRenameFiles},
	{"rename directories", testRenameDirs},
	{"readdir", testReaddir},
	{"readdir while changing", testReaddirChanging},
	{"read-only", testReadOnly},
	{"mounts", testMounts},
	{"working directory", testWorkingDirectory},
	{"fork", testFork},
	{"concurrent use", testConcurrent},
	{"swapped while walking", testSwapped},
	{"restore offsets and sharing", testRestoreOffsets},
	{"restore unlinked", testRestoreUnlinked},
	{"restore removed directory", testRestoreRemovedDir},
	{"restore readdir", testRestoreReaddir},
	{"restore renamed", testRestoreRenamed},
	{"restore locks", testRestoreLocks},
	{"restore twice", testRestoreTwice},
	{"restore does not create", testRestoreFlags},
}

// TestFileSystem runs the suite.
func TestFileSystem(t *testing.T, c Config) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHarness(t, c)
			test.run(h)
			h.files.CloseAll()
		})
	}
}
