package hostfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A file that is as it was is read and written on under each policy that opens
// it, and what its first open did is not done again.
func TestReopen(t *testing.T) {
	for _, policy := range []Policy{Reopen, Strict} {
		host := t.TempDir()
		put(t, filepath.Join(host, "dir", "in"), "0123456789")
		g := newGuest(t, host, Options{})
		in := g.open("dir/in", 0, false)
		out := g.open("dir/out", abi.OCreat|abi.OExcl|abi.OTrunc, true)
		read(t, in, 4)
		write(t, out, "hello ")
		st, err := save(t, g, in, out)
		must(t, err)

		g = newGuest(t, host, Options{Policy: policy})
		files, err := restore(t, g, st)
		if err != nil {
			t.Errorf("%v: %v", policy, err)
			continue
		}
		if got := read(t, files[0], 100); got != "456789" {
			t.Errorf("%v: read %q", policy, got)
		}
		write(t, files[1], "world")
		if got, _ := os.ReadFile(filepath.Join(host, "dir", "out")); string(got) != "hello world" {
			t.Errorf("%v: wrote %q", policy, got)
		}
		if got := g.fs.Changes(); len(got) != 0 {
			t.Errorf("%v: changes %q", policy, got)
		}
	}
}

// What may happen to a file between save and restore, and what the policies
// make of it. The guest has read 4 of its 10 bytes.
func TestChanged(t *testing.T) {
	const ok = ""
	mtime := time.Unix(1_600_000_000, 0)
	for _, tt := range []struct {
		name            string
		change          func(p string) error
		reopen, strict  string // in the error
		changes, remain string
	}{
		{"grown", func(p string) error { return appendTo(p, "xyz") }, ok, "size was 10, is 13", "size", "456789xyz"},
		{"cut", func(p string) error { return os.Truncate(p, 3) }, "has 3 bytes, and 4 of it were used", "size was 10, is 3", "", ""},
		{"cut behind", func(p string) error { return os.Truncate(p, 5) }, ok, "size was 10, is 5", "size", "4"},
		{"touched", func(p string) error { return os.Chtimes(p, mtime, mtime) }, ok, "mtime was", "mtime", "456789"},
		{"replaced", func(p string) error { return replace(p, "abcdefghij") }, ok, "inode was", "inode", "efghij"},
		{"removed", os.Remove, "no such file", "no such file", "", ""},
		{"directory", func(p string) error { os.Remove(p); return os.Mkdir(p, 0o777) }, "is a directory", "is a directory", "", ""},
		{"symlink", func(p string) error {
			os.Rename(p, p+".old")
			return os.Symlink(filepath.Base(p)+".old", p)
		}, "symbolic links", "symbolic links", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for policy, want := range map[Policy]string{Reopen: tt.reopen, Strict: tt.strict} {
				host := t.TempDir()
				p := filepath.Join(host, "file")
				put(t, p, "0123456789")
				g := newGuest(t, host, Options{})
				f := g.open("file", 0, false)
				read(t, f, 4)
				st, err := save(t, g, f)
				must(t, err)
				must(t, tt.change(p))
				g = newGuest(t, host, Options{Policy: policy})
				files, err := restore(t, g, st)
				if want != ok {
					if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), p) {
						t.Errorf("%v: error %v, want …%s… and the path", policy, err, want)
					}
					continue
				}
				if err != nil {
					t.Errorf("%v: %v", policy, err)
					continue
				}
				if got := read(t, files[0], 100); got != tt.remain {
					t.Errorf("%v: read %q, want %q", policy, got, tt.remain)
				}
				if got := strings.Join(g.fs.Changes(), "\n"); !strings.Contains(got, tt.changes) {
					t.Errorf("%v: changes %q, want …%s…", policy, got, tt.changes)
				}
			}
		})
	}
}

func appendTo(p, s string) error {
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(s)
	return err
}

func replace(p, s string) error {
	if err := os.WriteFile(p+".new", []byte(s), 0o666); err != nil {
		return err
	}
	return os.Rename(p+".new", p)
}

func TestStale(t *testing.T) {
	host := t.TempDir()
	put(t, filepath.Join(host, "file"), "0123456789")
	g := newGuest(t, host, Options{})
	st, err := save(t, g, g.open("file", 0, true), g.root)
	must(t, err)
	g = newGuest(t, host, Options{Policy: Stale})
	for range 2 { // a stale file can be saved and stays stale
		files, err := restore(t, g, st)
		must(t, err)
		buf := [][]byte{make([]byte, 1)}
		_, r := files[0].Read(buf)
		_, w := files[0].Write(buf)
		_, s := files[0].Stat()
		for what, errno := range map[string]abi.Errno{
			"read": r, "write": w, "stat": s, "sync": files[0].Sync(false), "size": files[0].SetSize(1),
		} {
			if errno != abi.ESTALE {
				t.Errorf("%s: %v, want ESTALE", what, errno)
			}
		}
		if _, errno := g.ns.StatAt(files[1], "file", 0); errno != abi.OK {
			t.Errorf("stat below an open directory: %v", errno)
		}
		st, err = save(t, g, files...)
		must(t, err)
		g = newGuest(t, host, Options{})
	}
}

// Renames by the guest, of a file and of a directory above it, are followed.
func TestRenamedWhileOpen(t *testing.T) {
	host := t.TempDir()
	put(t, filepath.Join(host, "a", "b", "file"), "0123456789")
	g := newGuest(t, host, Options{})
	f := g.open("a/b/file", 0, false)
	d := g.open("a/b", abi.ODirectory, false)
	read(t, f, 4)
	for _, mv := range [][2]string{{"a/b/file", "a/b/f2"}, {"a/b", "c"}, {"c/f2", "c/f3"}, {"c", "a/d"}} {
		if errno := g.ns.RenameAt(g.root, mv[0], g.root, mv[1]); errno != abi.OK {
			t.Fatalf("rename %s: %v", mv[0], errno)
		}
	}
	st, err := save(t, g, f, d)
	must(t, err)
	files, err := restore(t, newGuest(t, host, Options{}), st)
	must(t, err)
	if got := read(t, files[0], 100); got != "456789" {
		t.Errorf("read %q", got)
	}
	if _, errno := g.ns.StatAt(files[1], "f3", 0); errno != abi.OK {
		t.Errorf("stat in the directory: %v", errno)
	}
}

// A rename by somebody else is not followed, and told.
func TestMovedOnHost(t *testing.T) {
	host := t.TempDir()
	put(t, filepath.Join(host, "file"), "x")
	put(t, filepath.Join(host, "dir", "x"), "x")
	g := newGuest(t, host, Options{})
	f, d := g.open("file", 0, false), g.open("dir", abi.ODirectory, false)
	for _, n := range []string{"file", "dir"} {
		must(t, os.Rename(filepath.Join(host, n), filepath.Join(host, n+"2")))
	}
	for _, f := range []*vfs.OpenFile{f, d} {
		if _, err := save(t, g, f); err == nil || !strings.Contains(err.Error(), "was moved") {
			t.Errorf("save: %v", err)
		}
	}
}

// A file without a name is saved with its content, and shared again by those
// that shared it.
func TestUnlinked(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		host := t.TempDir()
		put(t, filepath.Join(host, "tmp"), "0123456789")
		g := newGuest(t, host, Options{})
		f1, f2 := g.open("tmp", 0, !readOnly), g.open("tmp", 0, false)
		read(t, f1, 4)
		if errno := g.ns.UnlinkAt(g.root, "tmp"); errno != abi.OK {
			t.Fatal(errno)
		}
		st, err := save(t, g, f1, f2)
		must(t, err)
		for range 2 { // also the restored one can be saved
			g = newGuest(t, host, Options{ReadOnly: readOnly})
			files, err := restore(t, g, st)
			must(t, err)
			st, err = save(t, g, files...)
			must(t, err)
			if !readOnly {
				write(t, files[0], "AB")
			}
			want := map[bool]string{false: "0123AB6789", true: "0123456789"}[readOnly]
			if got := read(t, files[1], 100); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
			if entries, _ := os.ReadDir(host); len(entries) != 0 {
				t.Errorf("the file has a name: %v", entries)
			}
		}
	}
}

func TestUnlinkedWriteOnly(t *testing.T) {
	host := t.TempDir()
	g := newGuest(t, host, Options{})
	f, errno := g.ns.OpenAt(g.root, "log", 0, abi.OCreat, false, true, 0)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	defer f.DecRef()
	write(t, f, "lines")
	g.ns.UnlinkAt(g.root, "log")
	st, err := save(t, g, f)
	must(t, err)
	var s State
	must(t, protostruct.Unmarshal(st.Files[0].Object.Data, &s))
	if string(s.Content) != "lines" {
		t.Errorf("state is %+v", s)
	}
}

func TestUnlinkedTooLarge(t *testing.T) {
	host := t.TempDir()
	g := newGuest(t, host, Options{})
	f := g.open("big", abi.OCreat, true)
	if errno := f.SetSize(MaxUnlinked + 1); errno != abi.OK {
		t.Fatal(errno)
	}
	g.ns.UnlinkAt(g.root, "big")
	_, err := save(t, g, f)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(host, "big")) || !strings.Contains(err.Error(), "close it before the save") {
		t.Errorf("save: %v", err)
	}
	if errno := f.SetSize(MaxUnlinked); errno != abi.OK {
		t.Fatal(errno)
	}
	_, err = save(t, g, f)
	must(t, err)
}

// A directory that is being listed goes on where it was, whatever came and
// went.
func TestCookies(t *testing.T) {
	host := t.TempDir()
	var want []string
	for i := range 200 {
		name := fmt.Sprintf("f%03d", i)
		put(t, filepath.Join(host, name), "")
		want = append(want, name)
	}
	g := newGuest(t, host, Options{})
	d := g.open(".", abi.ODirectory, false)
	var got []string
	list := func(d *vfs.OpenFile, cookie uint64, n int) uint64 {
		errno := d.ReadDir(cookie, func(e vfs.Dirent) bool {
			if n == 0 {
				return false
			}
			n--
			cookie = e.Next
			if e.Name != "." && e.Name != ".." {
				got = append(got, e.Name)
			}
			return true
		})
		if errno != abi.OK {
			t.Fatal(errno)
		}
		return cookie
	}
	cookie := list(d, list(d, 0, 1), 100)
	for range 2 {
		for i := 0; i < 200; i += 20 {
			os.Remove(filepath.Join(host, fmt.Sprintf("f%03d", i)))
			put(t, filepath.Join(host, fmt.Sprintf("a%03d", i)), "")
		}
		st, err := save(t, g, d)
		must(t, err)
		g = newGuest(t, host, Options{Policy: Strict})
		files, err := restore(t, g, st)
		must(t, err)
		d = files[0]
		cookie = list(d, cookie, 30)
	}
	list(d, cookie, 1000)
	slices.Sort(got)
	for _, name := range want {
		if n := countOf(got, name); n > 1 || n == 0 && fileExists(filepath.Join(host, name)) {
			t.Errorf("%s was listed %d times", name, n)
		}
	}
}

// A number is not given twice, even if no name is left that had one.
func TestCookiesOfEmptied(t *testing.T) {
	host := t.TempDir()
	put(t, filepath.Join(host, "old"), "")
	g := newGuest(t, host, Options{})
	d := g.open(".", abi.ODirectory, false)
	numbers := func(d *vfs.OpenFile) (all []uint64) {
		if errno := d.ReadDir(0, func(e vfs.Dirent) bool { all = append(all, e.Next); return true }); errno != abi.OK {
			t.Fatal(errno)
		}
		return all
	}
	before := numbers(d)
	must(t, os.Remove(filepath.Join(host, "old")))
	numbers(d)
	st, err := save(t, g, d)
	must(t, err)
	g = newGuest(t, host, Options{})
	files, err := restore(t, g, st)
	must(t, err)
	put(t, filepath.Join(host, "new"), "")
	after := numbers(files[0])
	if len(after) != 3 || len(before) != 3 || slices.Contains(before, after[2]) {
		t.Errorf("numbers %d, before the save %d", after, before)
	}
}

func countOf(all []string, s string) (n int) {
	for _, a := range all {
		if a == s {
			n++
		}
	}
	return n
}

func fileExists(p string) bool {
	_, err := os.Lstat(p)
	return err == nil
}

// States that nobody has saved are refused.
func TestBadState(t *testing.T) {
	host := t.TempDir()
	put(t, filepath.Join(host, "f"), "x")
	g := newGuest(t, host, Options{})
	for _, s := range []State{
		{},
		{Type: abi.FiletypeSymbolicLink, Path: "f"},
		{Type: abi.FiletypeRegularFile, Path: "../f"},
		{Type: abi.FiletypeRegularFile, Path: "/etc/passwd"},
		{Type: abi.FiletypeRegularFile, Path: "a/../../f"},
		{Type: abi.FiletypeRegularFile, Path: "."},
		{Type: abi.FiletypeRegularFile, Path: ""},
		{Type: abi.FiletypeDirectory, Path: ".."},
		{Type: abi.FiletypeRegularFile, Path: "f", Size: -1},
		{Type: abi.FiletypeRegularFile, Path: "f", Size: 1, Seen: 2},
		{Type: abi.FiletypeRegularFile, Path: "f", Content: []byte("x")},
		{Type: abi.FiletypeRegularFile, Path: "f", Unlinked: true, Size: 5, Content: []byte("x")},
		{Type: abi.FiletypeDirectory, Path: ".", Cookies: []CookieState{{"a", 1}, {"b", 1}}, LastCookie: 1},
		{Type: abi.FiletypeDirectory, Path: ".", Cookies: []CookieState{{"a", 2}}, LastCookie: 1},
		{Type: abi.FiletypeDirectory, Path: ".", Cookies: []CookieState{{"a", 0}}, LastCookie: 1},
		{Type: abi.FiletypeDirectory, Path: ".", Cookies: []CookieState{{"a", 1}, {"a", 2}}, LastCookie: 2},
		{Type: abi.FiletypeDirectory, Path: ".", Cookies: []CookieState{{"../a", 1}}, LastCookie: 2},
		{Type: abi.FiletypeDirectory, Path: ".", LastCookie: 1<<62 + 1},
	} {
		data, err := protostruct.Marshal(s)
		must(t, err)
		if f, err := g.fs.RestoreFile(nil, data); err == nil {
			t.Errorf("%+v was accepted", s)
			f.Close()
		}
	}
	if _, err := g.fs.RestoreFile(nil, []byte("\x0a")); err == nil {
		t.Error("a bad encoding was accepted")
	}
}

func TestParsePolicy(t *testing.T) {
	for _, p := range []Policy{Reopen, Strict, Stale} {
		if got, err := ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	var p Policy
	if err := p.Set("lax"); err == nil {
		t.Error("an unknown policy was accepted")
	}
}
