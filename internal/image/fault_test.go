package image_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stasis-run/stasis/internal/faultfs"
	"github.com/stasis-run/stasis/internal/image"
)

var faultMems = [][]byte{pagesAt(20, 2, 5, 6, 19), pagesAt(1)}

// Whatever fails while an image is written, and whatever is lost with the
// power: it is there whole, or not at all.
func TestFaultAtEveryOperation(t *testing.T) {
	count := faultfs.New(image.OS, nil)
	if err := write(count, filepath.Join(t.TempDir(), "py"), faultMems...); err != nil {
		t.Fatal(err)
	}
	if left := count.OpenFiles(); len(left) > 0 {
		t.Errorf("left open: %q", left)
	}
	ops := count.Ops()
	t.Logf("%d operations", len(ops))
	for _, kind := range []faultfs.Kind{faultfs.Fail, faultfs.Short, faultfs.Full, faultfs.Kill, faultfs.PowerCut} {
		for n, op := range ops {
			verb, _, _ := strings.Cut(op, " ")
			name := fmt.Sprintf("%s/%d-%s", kind, n, verb)
			t.Run(name, func(t *testing.T) { oneFault(t, faultfs.Fault{At: n, Kind: kind}) })
		}
	}
}

func oneFault(t *testing.T, fault faultfs.Fault) {
	quick := faultfs.New(image.OS, nil) // does not sync
	parent := t.TempDir()
	dir := filepath.Join(parent, "py")
	fsys := faultfs.New(image.OS, &fault)
	err := write(fsys, dir, faultMems...)
	if left := fsys.OpenFiles(); len(left) > 0 {
		t.Errorf("left open: %q", left)
	}
	there := names(t, parent)
	complete := slices.Contains(there, "py")
	crash := fault.Kind == faultfs.Kill || fault.Kind == faultfs.PowerCut
	switch {
	case err == nil && !complete:
		t.Error("no error, and no image")
	case err != nil && complete && !crash:
		t.Errorf("an image in spite of: %v", err)
	case err != nil && !crash && strings.Contains(err.Error(), ".tmp-"):
		t.Errorf("names a file that nobody knows: %v", err)
	case fault.Kind == faultfs.Full && err != nil && !errors.Is(err, syscall.ENOSPC):
		t.Errorf("full disk: %v", err)
	}
	if crash {
		if list, err := image.List(quick, parent); err != nil || slices.Contains(list, "py") != complete || len(list) > 1 {
			t.Errorf("listed: %q, %v", list, err)
		}
		for _, name := range there {
			if im, err := image.Open(quick, filepath.Join(parent, name)); name != "py" && !errors.Is(err, image.ErrUnfinished) {
				t.Errorf("open %s: %v, %v", name, im, err)
			} else if im != nil {
				im.Close()
			}
		}
		if err := image.Clean(quick, parent); err != nil {
			t.Error(err)
		}
		there = names(t, parent)
	}
	if slices.ContainsFunc(there, func(name string) bool { return name != "py" }) {
		t.Errorf("left behind: %q (%v)", there, err)
	}
	if complete {
		read(t, quick, dir, faultMems...)
	} else if err := write(quick, dir, faultMems...); err != nil {
		t.Errorf("second attempt: %v", err)
	}
}

func TestFullDiskText(t *testing.T) {
	t.Chdir(t.TempDir())
	count := faultfs.New(image.OS, nil)
	if err := write(count, "first", faultMems...); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(count.Ops(), func(op string) bool {
		return strings.HasPrefix(op, "write ") && strings.Contains(op, "pages-0")
	})
	fsys := faultfs.New(image.OS, &faultfs.Fault{At: at, Kind: faultfs.Full})
	err := write(fsys, "py", faultMems...)
	if want := "memory 0: write pages-0: no space left on device"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A fault while an image is read is an error, never a wrong image or a panic.
func TestReadFaultAtEveryOperation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	if err := write(image.OS, dir, faultMems...); err != nil {
		t.Fatal(err)
	}
	count := faultfs.New(image.OS, nil)
	read(t, count, dir, faultMems...)
	for n, op := range count.Ops() {
		fsys := faultfs.New(image.OS, &faultfs.Fault{At: n})
		im, err := image.Open(fsys, dir)
		if err == nil {
			_, err1 := im.State()
			_, err2 := im.Module(sha256.Sum256(testModule))
			err = errors.Join(err1, err2, im.FillMemory(0, make([]byte, im.MemorySize(0))), im.Verify(), im.Close())
		}
		if errors.Is(err, image.ErrCorrupt) {
			t.Errorf("%s: a bad disk is taken for a bad image: %v", op, err)
		}
		if left := fsys.OpenFiles(); len(left) > 0 {
			t.Errorf("%s: left open: %q", op, left)
		}
	}
}

// Clean must not take away what somebody is writing.
func TestCleanLeavesWriters(t *testing.T) {
	parent := t.TempDir()
	d, err := image.Create(image.OS, filepath.Join(parent, "py"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".x.tmp-0123456789abcdef", ".x.tmp-01234567", "x.tmp-0123456789abcdef"} {
		os.Mkdir(filepath.Join(parent, name), 0o700)
	}
	if err := image.Clean(image.OS, parent); err != nil {
		t.Fatal(err)
	}
	if got := names(t, parent); len(got) != 3 || slices.Contains(got, ".x.tmp-0123456789abcdef") {
		t.Errorf("left: %q", got)
	}
	w := image.NewWriter(d.File)
	if err := writeParts(w, faultMems); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(testConfig); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := d.Abort(); err != nil {
		t.Fatal(err)
	}
	read(t, image.OS, filepath.Join(parent, "py"), faultMems...)
}
