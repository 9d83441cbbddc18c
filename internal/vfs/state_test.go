package vfs_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
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
	good := `{"mount":"/","path":"/","object":{"kind":"memfs","data":{"ino":1}}}`
	for _, c := range []struct{ name, file, fds, text string }{
		{"file id", good, `[{"fd":0,"file":1}]`, "fd 0: open file 1: there are 1"},
		{"negative id", good, `[{"fd":0,"file":-1}]`, "open file -1"},
		{"fd beyond the limit", good, `[{"fd":8}]`, "fd 8: out of order, or not below the limit of 8"},
		{"fd twice", good, `[{"fd":1},{"fd":1}]`, "fd 1: out of order"},
		{"too many rights", good, `[{"fd":0,"base":4}]`, "rights 0x4"},
		{"no inode", `{"mount":"/","path":"/x","object":{"kind":"memfs","data":{"ino":9}}}`, `[{"fd":0}]`, "open file 0 /x: memfs: inode 9"},
		{"no data", `{"mount":"/","path":"/x","object":{"kind":"memfs"}}`, `[{"fd":0}]`, "open file 0 /x: memfs"},
		{"wrong kind", `{"mount":"/","path":"/x","object":{"kind":"pipe"}}`, `[{"fd":0}]`, `kind "pipe" in the memfs at /`},
		{"unknown kind", `{"object":{"kind":"pipe"}}`, `[{"fd":0}]`, `kind "pipe" is not known`},
		{"no mount", `{"mount":"/data","path":"/data","object":{"kind":"memfs"}}`, `[{"fd":0}]`, "mount /data is needed"},
		{"path outside", `{"mount":"/","path":"x","object":{"kind":"memfs"}}`, `[{"fd":0}]`, "lies outside of mount /"},
		{"negative offset", `{"offset":-1,"mount":"/","path":"/","object":{"kind":"memfs"}}`, `[{"fd":0}]`, "offset -1"},
		{"flags", `{"flags":64,"mount":"/","path":"/","object":{"kind":"memfs"}}`, `[{"fd":0}]`, "flags 0x40"},
		{"offset of a directory", `{"offset":1,"mount":"/","path":"/","object":{"kind":"memfs","data":{"ino":1}}}`, `[{"fd":0}]`, "offset 1 of a file without positions"},
	} {
		_, ns, _ := newTree(t)
		var s vfs.State
		var table vfs.FDTableState
		if err := json.Unmarshal([]byte(`{"files":[`+c.file+`]}`), &s); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(`{"limit":8,"fds":`+c.fds+`}`), &table); err != nil {
			t.Fatal(err)
		}
		r, err := vfs.NewRestorer(&s, ns, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = vfs.RestoreFDTable(&table, r)
		r.Close()
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.text)
		}
	}
	for _, limit := range []int{-1, vfs.MaxFDs + 1} {
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
