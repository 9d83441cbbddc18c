package hostfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
)

// jail makes a directory to be offered, next to a secret.
func jail(t *testing.T) (inside, secret string) {
	top := t.TempDir()
	put(t, filepath.Join(top, "secret"), "secret")
	put(t, filepath.Join(top, "out", "secret"), "secret")
	put(t, filepath.Join(top, "in", "dir", "file"), "public")
	return filepath.Join(top, "in"), filepath.Join(top, "secret")
}

func TestNoWayOut(t *testing.T) {
	in, secret := jail(t)
	for name, target := range map[string]string{
		"abs":     secret,
		"absdir":  filepath.Dir(secret),
		"up":      "../secret",
		"updir":   "..",
		"dir/up":  "../../secret",
		"proc":    "/proc/self/root",
		"chain":   "dir/up",
		"slashes": "..//./../in/../secret",
	} {
		must(t, os.Symlink(target, filepath.Join(in, name)))
	}
	g := newGuest(t, in, Options{})
	for _, p := range []string{
		"../secret", "dir/../../secret", "/secret", secret, "..", "abs", "absdir/secret", "up", "updir/secret",
		"dir/up", "proc" + secret, "chain", "slashes", "dir/../../in/dir/file",
	} {
		for _, oflags := range []abi.OFlags{0, abi.OCreat, abi.ODirectory, abi.OTrunc, abi.OCreat | abi.OExcl} {
			f, errno := g.tryOpen(p, oflags, oflags&abi.OTrunc != 0)
			if errno == abi.OK {
				t.Errorf("open %s with %#x leads to %s", p, oflags, f.Path())
				f.DecRef()
			}
		}
		if errno := g.ns.MkdirAt(g.root, p+"/made"); errno == abi.OK {
			t.Errorf("mkdir in %s", p)
		}
		if errno := g.ns.LinkAt(g.root, p, abi.SymlinkFollow, g.root, "link"); errno == abi.OK {
			t.Errorf("link to %s", p)
			g.ns.UnlinkAt(g.root, "link")
		}
	}
	for _, p := range []string{"../x", "dir/../../x", "/x", "absdir/x", "updir/x"} {
		for _, errno := range []abi.Errno{
			g.ns.LinkAt(g.root, "dir/file", 0, g.root, p),
			g.ns.RenameAt(g.root, "dir/file", g.root, p),
			g.ns.SymlinkAt("x", g.root, p),
			g.ns.MkdirAt(g.root, p),
			g.ns.UnlinkAt(g.root, strings.TrimSuffix(p, "x")+"secret"),
		} {
			if errno == abi.OK {
				t.Errorf("a change at %s went through", p)
			}
		}
	}
	if got, err := os.ReadFile(secret); string(got) != "secret" || err != nil {
		t.Errorf("the secret is %q, %v", got, err)
	}
	entries, err := os.ReadDir(filepath.Dir(secret))
	if len(entries) != 3 || err != nil {
		t.Errorf("next to the secret are %v, %v", entries, err)
	}
}

// A directory is swapped for a symlink that leads out while the guest walks
// through it.
func TestSwapRace(t *testing.T) {
	in, secret := jail(t)
	out := filepath.Join(filepath.Dir(secret), "out")
	put(t, filepath.Join(in, "real", "secret"), "public")
	must(t, os.Symlink(out, filepath.Join(in, "evil")))
	must(t, os.Rename(filepath.Join(in, "real"), filepath.Join(in, "swap")))
	g := newGuest(t, in, Options{})

	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		a, b := filepath.Join(in, "swap"), filepath.Join(in, "evil")
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Errorf("swap: %v", err)
				return
			}
		}
	}()
	opened := 0
	for i := range 20_000 {
		f, errno := g.tryOpen("swap/secret", 0, false)
		if errno != abi.OK {
			continue
		}
		opened++
		if got := read(t, f, 10); got != "public" {
			t.Fatalf("iteration %d: read %q", i, got)
		}
		f.DecRef()
		if f, errno := g.tryOpen("swap/made", abi.OCreat, true); errno == abi.OK {
			f.DecRef()
		}
		g.ns.MkdirAt(g.root, "swap/madedir")
	}
	close(stop)
	<-done
	t.Logf("opened %d times", opened)
	if opened == 0 {
		t.Error("the directory was never seen")
	}
	if entries, _ := os.ReadDir(out); len(entries) != 1 {
		t.Errorf("outside are %v", entries)
	}
}

// Devices, fifos and sockets are not opened, and looking does not block.
func TestSpecialFiles(t *testing.T) {
	in, _ := jail(t)
	must(t, unix.Mkfifo(filepath.Join(in, "fifo"), 0o666))
	special := []string{"fifo"}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(fd)
	if unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(in, "sock")}) == nil {
		special = append(special, "sock")
	}
	if unix.Mknod(filepath.Join(in, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) == nil {
		special = append(special, "null")
	}
	g := newGuest(t, in, Options{})
	for _, name := range special {
		for _, write := range []bool{false, true} {
			for _, oflags := range []abi.OFlags{0, abi.OCreat, abi.OTrunc} {
				f, errno := g.tryOpen(name, oflags, write)
				if errno != abi.EPERM {
					t.Errorf("open %s: %v, want EPERM", name, errno)
				}
				if errno == abi.OK {
					f.DecRef()
				}
			}
		}
		if _, errno := g.ns.StatAt(g.root, name, 0); errno != abi.OK {
			t.Errorf("stat %s: %v", name, errno)
		}
		if errno := g.ns.UnlinkAt(g.root, name); errno != abi.OK {
			t.Errorf("unlink %s: %v", name, errno)
		}
	}
}

func TestReadOnly(t *testing.T) {
	in, _ := jail(t)
	g := newGuest(t, in, Options{ReadOnly: true})
	g.open("dir/file", 0, false)
	g.open("dir/file", abi.OCreat, false)
	d, errno := g.fs.Root()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	defer d.Close()
	for what, errno := range map[string]abi.Errno{
		"mkdir":   d.Mkdir("new"),
		"symlink": d.Symlink("x", "new"),
		"link":    d.Link("dir", d, "new"),
		"unlink":  d.Unlink("dir"),
		"rmdir":   d.Rmdir("dir"),
		"rename":  d.Rename("dir", d, "new"),
	} {
		if errno != abi.EROFS {
			t.Errorf("%s: %v, want EROFS", what, errno)
		}
	}
	for p, oflags := range map[string]abi.OFlags{"new": abi.OCreat, "dir/file": abi.OTrunc} {
		if _, errno := g.tryOpen(p, oflags, true); errno != abi.EROFS {
			t.Errorf("open %s with %#x: %v, want EROFS", p, oflags, errno)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(in, "dir", "file")); string(got) != "public" {
		t.Errorf("the file is now %q", got)
	}
}

// As many directories are open as are in use, however many were walked.
func TestDescriptorsAreBounded(t *testing.T) {
	top := t.TempDir()
	deep := top
	for range 50 {
		deep = filepath.Join(deep, "d")
	}
	put(t, filepath.Join(deep, "f"), "x")
	g := newGuest(t, top, Options{})
	p := strings.Repeat("d/", 50) + "f"
	for range 100 {
		if _, errno := g.ns.StatAt(g.root, p, 0); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	if n := len(g.fs.handles); n != 1 {
		t.Errorf("%d handles after looking, want the root's", n)
	}
	for range 10 {
		g.open(p, 0, false)
	}
	if n := len(g.fs.handles); n != 51 {
		t.Errorf("%d handles for ten files at depth 50, want 51", n)
	}
}
