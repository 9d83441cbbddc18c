package vfs_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
)

// BenchmarkStat is a walk over four components and a symbolic link.
func BenchmarkStat(b *testing.B) {
	_, ns, table := newTree(b)
	root, _ := table.Get(0, 0)
	for _, dir := range []string{"usr", "usr/lib", "usr/lib/python"} {
		ns.MkdirAt(root, dir)
	}
	ns.SymlinkAt("usr/lib", root, "lib")
	b.ReportAllocs()
	for b.Loop() {
		if _, errno := ns.StatAt(root, "lib/python/../python", abi.SymlinkFollow); errno != abi.OK {
			b.Fatal(errno)
		}
	}
}

// BenchmarkRead is a read of 4 KiB through an fd.
func BenchmarkRead(b *testing.B) {
	_, ns, table := newTree(b)
	fd, _ := table.PathOpen(ns, 0, 0, "file", abi.OCreat, abi.RightsFile, 0, 0)
	f, _ := table.Get(fd, 0)
	buf := [][]byte{make([]byte, 4096)}
	f.Write(buf)
	f.DecRef()
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		f, errno := table.Get(fd, abi.RightFDRead)
		if errno != abi.OK {
			b.Fatal(errno)
		}
		f.ReadAt(buf, 0)
		f.DecRef()
	}
}
