package vfs_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

func now() int64 { return 1_700_000_000e9 }

// newTree returns a namespace over a memfs, and a table with its root at 0.
func newTree(t testing.TB) (*memfs.FS, *vfs.Namespace, *vfs.FDTable) {
	t.Helper()
	fs := memfs.New(memfs.Options{Now: now, Bytes: 1 << 20, Inodes: 1000})
	ns := vfs.NewNamespace(now)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		t.Fatal(err)
	}
	f, err := ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	table := vfs.NewFDTable(16)
	if _, errno := table.Preopen(f, "/"); errno != abi.OK {
		t.Fatal(errno)
	}
	return fs, ns, table
}

// A restore says what it lacks, in a way that a program can read.
func TestMissing(t *testing.T) {
	fs, ns, table := newTree(t)
	s := vfs.NewSaver(ns)
	if _, err := table.Save(s); err != nil {
		t.Fatal(err)
	}
	var missing *vfs.MissingError
	_, err := vfs.NewRestorer(s.State(), vfs.NewNamespace(now), nil)
	if !errors.As(err, &missing) || *missing != (vfs.MissingError{Kind: "mount", Name: "/"}) {
		t.Errorf("without the mount: %v", err)
	}
	if _, err := ns.OpenRoot("/none"); !errors.As(err, &missing) || missing.Name != "/none" {
		t.Errorf("open a mount that is not there: %v", err)
	}
	s.State().Mounts[0].Type = "hostfs"
	ns2 := vfs.NewNamespace(now)
	if err := ns2.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.NewRestorer(s.State(), ns2, nil); err == nil || !strings.Contains(err.Error(), "mount /: is of type memfs, was hostfs") {
		t.Errorf("with another kind of mount: %v", err)
	}
}

// Each broken state is refused, and names what is broken.
func TestRestoreHostile(t *testing.T) {
	object := func(ino uint64) vfs.ObjectState {
		o, err := vfs.NewObjectState("memfs", memfs.FileState{Ino: ino})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	good := vfs.FileState{Mount: "/", Path: "/", Object: object(1)}
	with := func(change func(f *vfs.FileState)) vfs.FileState { f := good; change(&f); return f }
	kind := func(k string) vfs.ObjectState { return vfs.ObjectState{Kind: k} }
	first := []vfs.FDState{{}}
	for _, c := range []struct {
		name string
		file vfs.FileState
		fds  []vfs.FDState
		text string
	}{
		{"file id", good, []vfs.FDState{{File: 1}}, "fd 0: open file 1: there are 1"},
		{"negative id", good, []vfs.FDState{{File: -1}}, "open file -1"},
		{"fd that no table has", good, []vfs.FDState{{FD: vfs.MaxFDs}}, "fd 1048576: out of order, or beyond the limit of 1048576 fds"},
		{"fd twice", good, []vfs.FDState{{FD: 1}, {FD: 1}}, "fd 1: out of order"},
		{"too many rights", good, []vfs.FDState{{Base: 4}}, "rights 0x4"},
		{"no inode", with(func(f *vfs.FileState) { f.Path, f.Object = "/x", object(9) }), first, "open file 0 /x: memfs: inode 9"},
		{"no data", with(func(f *vfs.FileState) { f.Path, f.Object = "/x", kind("memfs") }), first, "open file 0 /x: memfs"},
		{"broken data", with(func(f *vfs.FileState) { f.Object.Data = []byte{8} }), first, "open file 0 /: memfs: ino: unexpected EOF"},
		{"wrong kind", with(func(f *vfs.FileState) { f.Object = kind("pipe") }), first, `kind "pipe" in the memfs at /`},
		{"unknown kind", vfs.FileState{Object: kind("pipe")}, first, `kind "pipe" is not known`},
		{"no mount", vfs.FileState{Mount: "/data", Path: "/data", Object: kind("memfs")}, first, "mount /data is needed"},
		{"path outside", with(func(f *vfs.FileState) { f.Path = "x" }), first, "lies outside of mount /"},
		{"negative offset", with(func(f *vfs.FileState) { f.Offset = -1 }), first, "offset -1"},
		{"flags", with(func(f *vfs.FileState) { f.Flags = 64 }), first, "flags 0x40"},
		{"offset of a directory", with(func(f *vfs.FileState) { f.Offset = 1 }), first, "offset 1 of a file without positions"},
	} {
		_, ns, _ := newTree(t)
		r, err := vfs.NewRestorer(&vfs.State{Files: []vfs.FileState{c.file}}, ns, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = vfs.RestoreFDTable(&vfs.FDTableState{Limit: 8, FDs: c.fds}, r)
		r.Close()
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.text)
		}
	}
	for _, limit := range []int{-1, vfs.MaxFDs + 1, -1 << 63, 1<<63 - 1} {
		_, ns, _ := newTree(t)
		r, err := vfs.NewRestorer(&vfs.State{}, ns, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vfs.RestoreFDTable(&vfs.FDTableState{Limit: limit}, r); err == nil {
			t.Errorf("limit %d: no error", limit)
		}
	}
}

// Each value of a state replaced by others, one at a time: an error, or files
// that can be used.
func TestRestoreMutated(t *testing.T) {
	var img image
	if err := protostruct.Unmarshal(fullImage(t), &img); err != nil {
		t.Fatal(err)
	}
	taken, refused := 0, 0
	prototest.Walk(&img, func(path string, v reflect.Value) {
		old := reflect.ValueOf(v.Interface())
		for _, h := range prototest.Hostile(v) {
			v.Set(h)
			b, err := protostruct.Marshal(&img)
			if err != nil {
				t.Fatal(err)
			}
			_, ns, table := restoreImage(b)
			if table == nil {
				refused++
				continue
			}
			taken++
			use(ns, table)
			table.CloseAll()
		}
		v.Set(old)
	})
	if taken < 100 || refused < 100 {
		t.Errorf("%d states were taken, %d refused", taken, refused)
	}
}
