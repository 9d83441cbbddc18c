//go:build linux

package vfs_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Record locks of three processes split, join and exclude each other as the
// host's do, whose locks of open files go by the same rules.
func TestLocksOracle(t *testing.T) {
	types := map[vfs.LockType]int16{vfs.Unlock: unix.F_UNLCK, vfs.ReadLock: unix.F_RDLCK, vfs.WriteLock: unix.F_WRLCK}
	for run := range 40 {
		rnd := rand.New(rand.NewPCG(uint64(run), 4))
		_, ns, base := newTree(t)
		path := filepath.Join(t.TempDir(), "f")
		var tables []*vfs.FDTable
		var files []*vfs.OpenFile
		var hosts []*os.File
		for range 3 {
			c, _ := base.Clone()
			_, f := opened(t, ns, c, 0, "f")
			h, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			tables, files, hosts = append(tables, c), append(files, f), append(hosts, h)
		}
		var log []string
		for range 120 {
			i := rnd.IntN(3)
			l := rangeLock(vfs.LockType(rnd.IntN(3)), rnd.Int64N(20), 0)
			h := unix.Flock_t{Type: types[l.Type], Start: l.Start}
			if l.End = math.MaxInt64; rnd.IntN(6) > 0 {
				h.Len = 1 + rnd.Int64N(10)
				l.End = l.Start + h.Len - 1
			}
			errno := tables[i].SetLock(files[i], l)
			err := unix.FcntlFlock(hosts[i].Fd(), unix.F_OFD_SETLK, &h)
			log = append(log, fmt.Sprintf("%d: %+v: %v", i, l, errno))
			if (errno == abi.OK) != (err == nil) || errno != abi.OK && errno != abi.EAGAIN {
				t.Fatalf("the host says %v; after\n%s", err, strings.Join(log, "\n"))
			}
			for at := range int64(40) { // what is locked against each, byte by byte
				for j := range 3 {
					got, _ := tables[j].GetLock(files[j], rangeLock(vfs.WriteLock, at, at))
					q := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
					if err := unix.FcntlFlock(hosts[j].Fd(), unix.F_OFD_GETLK, &q); err != nil {
						t.Fatal(err)
					}
					if (got.Type == vfs.Unlock) != (q.Type == unix.F_UNLCK) {
						t.Fatalf("byte %d is locked against %d: %+v, on the host %+v; after\n%s", at, j, got, q, strings.Join(log, "\n"))
					}
				}
			}
		}
		for i := range tables {
			tables[i].CloseAll()
			hosts[i].Close()
		}
		base.CloseAll()
	}
}
