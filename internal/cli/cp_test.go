package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stasis-run/stasis/internal/archive"
)

// TestDestination: the rules of docker cp.
func TestDestination(t *testing.T) {
	const f, d, none, other = targetFile, targetDir, targetNone, targetOther
	for _, c := range []struct {
		src       string
		srcDir    bool
		dst       string
		is        target
		dir, name string // "" is an error
	}{
		// A file.
		{"/a/f", false, "x", none, ".", "x"},
		{"/a/f", false, "y/x", none, "y", "x"},
		{"/a/f", false, "/x", none, "/", "x"},
		{"/a/f", false, "x/", none, "", ""},
		{"/a/f", false, "x/.", none, "", ""},
		{"/a/f", false, "y/x", f, "y", "x"},
		{"/a/f", false, "y/x/", f, "", ""},
		{"/a/f", false, "y", d, "y", "f"},
		{"/a/f", false, "y/", d, "y/", "f"},
		{"/a/f", false, ".", d, ".", "f"},
		{"/a/f", false, "/", d, "/", "f"},
		{"/a/f/", false, "y", d, "", ""},
		{"/a/f/.", false, "y", none, "", ""},
		{"/a/f", false, "/dev/null", other, "", ""},

		// A directory.
		{"/a/d", true, "y/x", none, "y", "x"},
		{"/a/d", true, "y/x/", none, "y", "x"},
		{"/a/d", true, "y/x/.", none, "y", "x"},
		{"/a/d/", true, "y/x", none, "y", "x"},
		{"/a/d/.", true, "y/x", none, "y", "x"},
		{"/a/d", true, "x", f, "", ""},
		{"/a/d/.", true, "x", f, "", ""},
		{"/a/d", true, "y", d, "y", "d"},
		{"/a/d/", true, "y/", d, "y/", "d"},
		{"/a/d/.", true, "y", d, "y", "."},
		{"/", true, "y", d, "y", "."},
		{"/", true, "y", none, ".", "y"},
		{"/a/d", true, "/dev/null", other, "", ""},
	} {
		dir, name, err := destination(c.src, c.srcDir, c.dst, c.is)
		if dir != c.dir || name != c.name || (err == nil) != (c.dir != "") {
			t.Errorf("%s (directory: %v) to %s (%d): %q, %q, %v, want %q, %q", c.src, c.srcDir, c.dst, c.is, dir, name, err, c.dir, c.name)
		}
	}
}

func TestSplitPlace(t *testing.T) {
	for arg, want := range map[string][2]string{
		"s:/a": {"s", "/a"}, "s:a": {"s", "a"}, "s:": {"s", ""}, "a": {"", "a"}, "-": {"", "-"},
		"./s:/a": {"", "./s:/a"}, "/s:/a": {"", "/s:/a"}, "../s:a": {"", "../s:a"}, ":a": {"", ":a"}, "s:a:b": {"s", "a:b"},
	} {
		if name, p := splitPlace(arg); name != want[0] || p != want[1] {
			t.Errorf("%s: %q, %q", arg, name, p)
		}
	}
}

func TestGuestPath(t *testing.T) {
	for p, want := range map[string]string{
		"a": "/a", "/a/b/": "/a/b/", "a/.": "/a/.", "../../a": "/a", "/": "/", ".": "/", "": "/", "a/..": "/", "/a//b": "/a/b", "/./": "/",
	} {
		if got := guestPath(p); got != want {
			t.Errorf("%q: %q, want %q", p, got, want)
		}
	}
}

// A link that a user names as a destination is followed; he knows where to.
func TestHostTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, err := range []error{
		os.Mkdir("d", 0o755), os.WriteFile("f", nil, 0o644), os.Symlink("d", "ld"), os.Symlink("../"+filepath.Base(mustWd(t))+"/f", "lf"),
		os.Symlink("d/new", "ln"), os.Symlink("lloop", "lloop"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for dst, want := range map[string]struct {
		is  target
		dst string
	}{
		"d": {targetDir, "d"}, "d/": {targetDir, "d/"}, ".": {targetDir, "."}, "/": {targetDir, "/"}, "f": {targetFile, "f"}, "nix": {targetNone, "nix"},
		"ld": {targetDir, "./d"}, "ld/": {targetDir, "ld/"}, "ld/.": {targetDir, "ld/."}, "ln": {targetNone, "./d/new"}, "nix/": {targetNone, "nix/"},
		"lf": {targetFile, "./../" + filepath.Base(mustWd(t)) + "/f"}, "/dev/null": {targetOther, "/dev/null"},
	} {
		if p, is, err := hostTarget(dst); err != nil || is != want.is || p != want.dst {
			t.Errorf("%s: %q, %v, %v, want %q, %v", dst, p, is, err, want.dst, want.is)
		}
	}
	for _, bad := range []string{"f/", "f/.", "f/x", "lloop"} {
		if p, is, err := hostTarget(bad); err == nil {
			t.Errorf("%s: %q, %v", bad, p, is)
		}
	}
}

func mustWd(t *testing.T) string {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return wd
}

func TestAmount(t *testing.T) {
	for want, n := range map[string]archive.Count{
		"1 file, 0 B": {Files: 1}, "2 files, 999 B": {Files: 2, Bytes: 999}, "2 files, 1.5 kB": {Files: 2, Bytes: 1500},
		"2 files, 3 MB": {Files: 2, Bytes: 3e6}, "2 files, 5e+03 TB": {Files: 2, Bytes: 5e15},
	} {
		if got := amount(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}
