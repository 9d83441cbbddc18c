package faultfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stasis-run/stasis/internal/faultfs"
	"github.com/stasis-run/stasis/internal/image"
)

// save writes two files, of which it syncs the first and its name, and then
// the directory's name changes.
func save(fsys image.FS, dir string) error {
	if err := fsys.Mkdir(dir); err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		f, err := fsys.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("1234"), 0); err != nil {
			return err
		}
		if name == "b" {
			break
		}
		if err := f.Sync(); err != nil {
			return err
		}
		d, err := fsys.OpenDir(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	if err := fsys.RenameNew(dir, dir+"2"); err != nil {
		return err
	}
	_, err := fsys.Lstat(dir + "2")
	return err
}

// The operations of save: 0 mkdir, 1 create a, 2 write, 3 sync, 4 opendir,
// 5 sync, 6 close, 7 create b, 8 write, 9 rename, 10 lstat, 11 and 12 close.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault faultfs.Fault
		err   error
		a, b  string // what the files then hold; "-" is none
	}{
		{"none", faultfs.Fault{At: 100}, nil, "1234", "1234"},
		{"fail a write", faultfs.Fault{At: 2}, syscall.EIO, "", "-"},
		{"error of choice", faultfs.Fault{At: 2, Err: syscall.EDQUOT}, syscall.EDQUOT, "", "-"},
		{"short write", faultfs.Fault{At: 2, Kind: faultfs.Short}, syscall.EIO, "12", "-"},
		{"full in a write", faultfs.Fault{At: 2, Kind: faultfs.Full}, syscall.ENOSPC, "12", "-"},
		{"full before a create", faultfs.Fault{At: 6, Kind: faultfs.Full}, syscall.ENOSPC, "1234", "-"},
		{"kill", faultfs.Fault{At: 8, Kind: faultfs.Kill}, faultfs.ErrCrashed, "1234", "12"},
		{"power cut before sync", faultfs.Fault{At: 3, Kind: faultfs.PowerCut}, faultfs.ErrCrashed, "-", "-"},
		{"power cut after sync", faultfs.Fault{At: 8, Kind: faultfs.PowerCut}, faultfs.ErrCrashed, "1234", "-"},
		{"power cut after rename", faultfs.Fault{At: 10, Kind: faultfs.PowerCut}, faultfs.ErrCrashed, "1234", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			fsys := faultfs.New(image.OS, &c.fault)
			if err := save(fsys, dir); !errors.Is(err, c.err) {
				t.Errorf("got error %v, want %v", err, c.err)
			}
			if left := fsys.OpenFiles(); len(left) > 0 {
				t.Errorf("left open: %q", left)
			}
			for name, want := range map[string]string{"a": c.a, "b": c.b} {
				if got := content(dir, name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// content returns what a file holds, whether its directory was renamed or not.
func content(dir, name string) string {
	for _, d := range []string{dir, dir + "2"} {
		if b, err := os.ReadFile(filepath.Join(d, name)); err == nil {
			return string(b)
		}
	}
	return "-"
}
