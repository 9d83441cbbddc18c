package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func now() int64 { return time.Now().UnixNano() }

// newGuest makes a tree with a root in memory, and more mounts.
func newGuest(t testing.TB, more ...vfs.Mount) *vfs.Namespace {
	ns := vfs.NewNamespace(now)
	must(t, ns.MountAll(append([]vfs.Mount{{Guest: "/", FS: memfs.New(memfs.Options{Now: now})}}, more...)))
	return ns
}

// tree describes a directory of the host, an entry a line.
func tree(t testing.TB, dir string, times bool) string {
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		st, err := d.Info()
		must(t, err)
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(&b, "%s %q", d.Type(), rel)
		switch d.Type() {
		case 0:
			data, err := os.ReadFile(p)
			must(t, err)
			if len(data) > 40 {
				data = fmt.Appendf(nil, "%d bytes", len(data))
			}
			fmt.Fprintf(&b, " %q", data)
		case fs.ModeSymlink:
			link, _ := os.Readlink(p)
			fmt.Fprintf(&b, " -> %s", link)
		}
		if times && d.Type() != fs.ModeSymlink {
			fmt.Fprintf(&b, " %d", st.ModTime().UnixNano())
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

// put makes a file of the host, and the directories above it.
func put(t testing.TB, name, data string) {
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(data), 0o644))
}

func openRoot(t testing.TB, dir string) *os.Root {
	r, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// What goes into a guest and comes out again is what it was.
func TestRoundTrip(t *testing.T) {
	src := t.TempDir()
	big := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
	copy(big[1<<20:], make([]byte, 1<<20)) // a hole, on the way out
	put(t, filepath.Join(src, "big"), string(big))
	put(t, filepath.Join(src, "empty"), "")
	put(t, filepath.Join(src, "a b/ü\n/"+strings.Repeat("n", 250)), "x")
	put(t, filepath.Join(src, "zeros"), string(make([]byte, 200_000)))
	must(t, os.MkdirAll(filepath.Join(src, "dir/none"), 0o755))
	must(t, os.Symlink("../big", filepath.Join(src, "dir/link")))
	must(t, os.Symlink("nowhere", filepath.Join(src, "dangling")))
	for i, name := range []string{"big", "empty", "dir/none", "dir", "a b"} {
		at := time.Unix(1_000_000_000+int64(i), 123_456_789)
		must(t, os.Chtimes(filepath.Join(src, name), at, at))
	}
	many := filepath.Join(src, "many")
	for i := range 200 {
		put(t, filepath.Join(many, fmt.Sprint(i)), fmt.Sprint(i))
	}
	host := t.TempDir()
	hfs, err := hostfs.Open(host, hostfs.Options{})
	must(t, err)
	defer hfs.Close()
	ns := newGuest(t, vfs.Mount{Guest: "/data", FS: hfs}, vfs.Mount{Guest: "/tmp", FS: memfs.New(memfs.Options{Now: now})})
	ctx := t.Context()
	for _, dir := range []string{"/", "/data", "/tmp"} {
		var in, out bytes.Buffer
		packed, err := Pack(ctx, src, "copy", false, &in)
		must(t, err)
		read, err := Read(ctx, ns, dir, &in, Options{Times: true})
		must(t, err)
		written, err := Write(ctx, ns, strings.TrimSuffix(dir, "/")+"/copy", &out)
		must(t, err)
		dst := t.TempDir()
		got, err := Unpack(ctx, &out, openRoot(t, dst), Options{Times: true, From: "copy", To: "other"})
		must(t, err)
		if packed != read || packed != written || packed != got {
			t.Errorf("%s: counts %v, %v, %v, %v", dir, packed, read, written, got)
		}
		if a, b := tree(t, src, true), tree(t, filepath.Join(dst, "other"), true); a != b {
			t.Errorf("%s: got\n%s\nwant\n%s", dir, b, a)
		}
		data, err := os.ReadFile(filepath.Join(dst, "other/big"))
		must(t, err)
		if !bytes.Equal(data, big) {
			t.Errorf("%s: big has other bytes", dir)
		}
	}
	var st unix.Stat_t
	dst := t.TempDir()
	var out bytes.Buffer
	_, err = Write(ctx, ns, "/copy/zeros", &out)
	must(t, err)
	_, err = Unpack(ctx, &out, openRoot(t, dst), Options{})
	must(t, err)
	must(t, unix.Stat(filepath.Join(dst, "zeros"), &st))
	if st.Size != 200_000 || st.Blocks*512 >= st.Size {
		t.Errorf("zeros take %d bytes of %d", st.Blocks*512, st.Size)
	}
}

// A tar's entry, for tests.
type entry struct {
	name, data string
	kind       byte
	link       string
}

func tarOf(entries ...entry) *bytes.Buffer {
	b, err := tryTar(entries)
	if err != nil {
		panic(err)
	}
	return b
}

// tryTar makes a tar, if package tar does.
func tryTar(entries []entry) (*bytes.Buffer, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o7777, Size: int64(len(e.data))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(tw, e.data); err != nil {
			return nil, err
		}
	}
	return &b, tw.Close()
}

func dir(name string) entry       { return entry{name: name, kind: tar.TypeDir} }
func file(name, d string) entry   { return entry{name: name, data: d} }
func link(name, to string) entry  { return entry{name: name, link: to, kind: tar.TypeSymlink} }
func hard(name, to string) entry  { return entry{name: name, link: to, kind: tar.TypeLink} }
func node(n string, k byte) entry { return entry{name: n, kind: k} }

// hostiles are tars that must not get through as they are, or lead nowhere.
var hostiles = map[string]struct {
	tar  []entry
	fine bool // it may be unpacked
}{
	"up":               {tar: []entry{file("../x", "evil")}},
	"up in the middle": {tar: []entry{dir("a"), file("a/../../x", "evil")}},
	"up at the end":    {tar: []entry{dir("a/..")}},
	"absolute":         {tar: []entry{file("/x", "evil")}, fine: true},
	"link and below":   {tar: []entry{link("l", ".."), file("l/x", "evil")}},
	"link within":      {tar: []entry{dir("d"), link("l", "d"), file("l/x", "evil")}},
	"link over":        {tar: []entry{link("secret", "../secret"), file("secret", "evil")}, fine: true},
	"dir over link":    {tar: []entry{link("l", ".."), dir("l"), file("l/x", "evil")}},
	"links to links":   {tar: []entry{link("a", "b"), link("b", ".."), file("a/secret", "evil")}},
	"dir then link":    {tar: []entry{dir("d"), link("d", ".."), file("d/x", "evil")}},
	"file then below":  {tar: []entry{file("f", ""), file("f/x", "evil")}},
	"hard link out":    {tar: []entry{hard("h", "../secret")}},
	"hard link by way": {tar: []entry{link("l", ".."), hard("h", "l/secret"), file("h", "evil")}},
	"device":           {tar: []entry{node("dev", tar.TypeChar)}},
	"block device":     {tar: []entry{node("dev", tar.TypeBlock)}},
	"fifo":             {tar: []entry{node("fifo", tar.TypeFifo)}},
	"root as a file":   {tar: []entry{file(".", "evil")}},
	"root as a link":   {tar: []entry{link("./", "..")}},
	"deep":             {tar: []entry{file(strings.Repeat("d/", 600)+"f", "evil")}},
	"long":             {tar: []entry{file(strings.Repeat("n", 5000), "evil")}},
	"unknown":          {tar: []entry{node("x", 'V')}},
}

func TestHostile(t *testing.T) {
	for name, c := range hostiles {
		t.Run(name, func(t *testing.T) {
			raw := tarOf(c.tar...).Bytes()
			top := t.TempDir()
			put(t, filepath.Join(top, "secret"), "secret")
			must(t, os.Mkdir(filepath.Join(top, "in"), 0o755))
			_, err := Unpack(t.Context(), bytes.NewReader(raw), openRoot(t, filepath.Join(top, "in")), Options{Times: true})
			if (err == nil) != c.fine {
				t.Errorf("onto the host: %v", err)
			}
			untouched(t, top)

			ns := newGuest(t)
			_, err = Read(t.Context(), ns, "/", tarOf(file("secret", "secret"), dir("in")), Options{})
			must(t, err)
			_, err = Read(t.Context(), ns, "/in", bytes.NewReader(raw), Options{Times: true})
			if (err == nil) != c.fine {
				t.Errorf("into the guest: %v", err)
			}
			var out bytes.Buffer
			_, err = Write(t.Context(), ns, "/.", &out)
			must(t, err)
			guest := t.TempDir()
			_, err = Unpack(t.Context(), &out, openRoot(t, guest), Options{})
			must(t, err)
			untouched(t, guest)
		})
	}
}

// untouched checks what is around the directory "in".
func untouched(t testing.TB, top string) {
	t.Helper()
	var names []string
	all, err := os.ReadDir(top)
	must(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	data, _ := os.ReadFile(filepath.Join(top, "secret"))
	if fmt.Sprint(names) != "[in secret]" || string(data) != "secret" {
		t.Errorf("there are %v, and the secret is %q", names, data)
	}
}

// Set-id bits are dropped, and so is what the umask says.
func TestModes(t *testing.T) {
	dst := t.TempDir()
	_, err := Unpack(t.Context(), tarOf(dir("d"), file("d/f", "x")), openRoot(t, dst), Options{})
	must(t, err)
	for _, name := range []string{"d", "d/f"} {
		st, err := os.Stat(filepath.Join(dst, name))
		must(t, err)
		if m := st.Mode() &^ fs.ModeDir; m&^0o777 != 0 || m.Perm()&0o700 != 0o700 {
			t.Errorf("%s has mode %v", name, m)
		}
	}
}

// What is there is replaced, not written to, and directories are filled up.
func TestOver(t *testing.T) {
	top := t.TempDir()
	in := filepath.Join(top, "in")
	put(t, filepath.Join(top, "secret"), "secret")
	put(t, filepath.Join(in, "d/old"), "old")
	put(t, filepath.Join(in, "f"), "longer than the new")
	must(t, os.Symlink("../secret", filepath.Join(in, "l")))
	must(t, os.Link(filepath.Join(in, "f"), filepath.Join(in, "g")))
	root := openRoot(t, in)
	_, err := Unpack(t.Context(), tarOf(file("d/new", "new"), file("f", "new"), file("l", "new")), root, Options{})
	must(t, err)
	want := "d--------- \"d\"\n---------- \"d/new\" \"new\"\n---------- \"d/old\" \"old\"\n---------- \"f\" \"new\"\n" +
		"---------- \"g\" \"longer than the new\"\n---------- \"l\" \"new\"\n"
	if got := tree(t, in, false); got != want {
		t.Errorf("got\n%s", got)
	}
	untouched(t, top)
	for _, bad := range [][]entry{{file("d", "x")}, {dir("f")}, {file("f/x", "x")}, {link("d", "x")}} {
		if _, err := Unpack(t.Context(), tarOf(bad...), root, Options{}); err == nil {
			t.Errorf("%v got through", bad)
		}
	}
}

// From and To name what may be unpacked, and where.
func TestRename(t *testing.T) {
	for _, c := range []struct {
		from, to, name, want string
	}{
		{"b", "c", "b", "c"}, {"b", "c", "b/x", "c/x"}, {"b", "c", "./b/x", "c/x"}, {"b", "c", "bb", ""}, {"b", "c", "x", ""},
		{"b", "c", ".", ""}, {"b", ".", "b/x", "x"}, {"b", ".", "b", "."}, {".", "c", ".", "c"}, {".", "c", "x/y", "c/x/y"},
		{"", "", "x", "x"}, {".", ".", "./", "."}, {"b", "c", "/b", "c"}, {"b", "c", "b/../x", ""},
	} {
		x := &extractor{opts: Options{From: c.from, To: c.to}}
		if got, err := x.name(c.name); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s from %s to %s: %q, %v, want %q", c.name, c.from, c.to, got, err, c.want)
		}
	}
}

// A guest's hard links in a tar from the user are made; they stay below.
func TestHardLinks(t *testing.T) {
	ns := newGuest(t)
	_, err := Read(t.Context(), ns, "/", tarOf(file("d/a", "one"), hard("d/b", "d/a")), Options{})
	must(t, err)
	i, err := Stat(ns, "/d/b")
	if err != nil || i.Mode != 0 || i.Size != 3 {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestGuestErrors(t *testing.T) {
	host := t.TempDir()
	put(t, filepath.Join(host, "f"), "x")
	must(t, unix.Mkfifo(filepath.Join(host, "fifo"), 0o600))
	must(t, os.Symlink("/abs", filepath.Join(host, "abs")))
	hfs, err := hostfs.Open(host, hostfs.Options{ReadOnly: true})
	must(t, err)
	defer hfs.Close()
	ns := newGuest(t, vfs.Mount{Guest: "/ro", FS: hfs, ReadOnly: true},
		vfs.Mount{Guest: "/small", FS: memfs.New(memfs.Options{Now: now, Bytes: 8 << 10})})
	read := func(dir string, e ...entry) error {
		_, err := Read(t.Context(), ns, dir, tarOf(e...), Options{Times: true})
		return err
	}
	write := func(p string) error {
		_, err := Write(t.Context(), ns, p, io.Discard)
		return err
	}
	for what, c := range map[string]struct {
		err  error
		want error
	}{
		"new on read-only":     {read("/ro", file("g", "x")), abi.EROFS},
		"over on read-only":    {read("/ro", file("f", "x")), abi.EROFS},
		"dir on read-only":     {read("/ro", dir("d")), abi.EROFS},
		"no such directory":    {read("/nix", file("f", "x")), fs.ErrNotExist},
		"into a file":          {read("/ro/f", file("f", "x")), abi.ENOTDIR},
		"no room":              {read("/small", file("f", strings.Repeat("x", 10<<10))), abi.ENOSPC},
		"absolute link":        {read("/", link("l", "/etc")), errAbsolute},
		"fifo":                 {write("/ro/fifo"), errNotCopied},
		"fifo in a directory":  {write("/ro"), errNotCopied},
		"nothing there":        {write("/nix"), fs.ErrNotExist},
		"a file with a slash":  {write("/ro/f/"), abi.ENOTDIR},
		"up and out":           {write("/../x"), fs.ErrPermission},
		"an absolute link":     {write("/ro/abs"), nil},
		"an absolute link's /": {write("/ro/abs/"), abi.EPERM},
		"not UTF-8":            {write("/\xff"), abi.EILSEQ},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", what, c.err, c.want)
		}
	}
}

// A tar that ends too early, or is none, is an error.
func TestCut(t *testing.T) {
	raw := tarOf(dir("d"), file("d/f", strings.Repeat("x", 2000))).Bytes()
	for _, n := range []int{100, 600, 1100, 2000} {
		if _, err := Read(t.Context(), newGuest(t), "/", bytes.NewReader(raw[:n]), Options{}); err == nil {
			t.Errorf("%d bytes of %d are a tar", n, len(raw))
		}
	}
	if _, err := Read(t.Context(), newGuest(t), "/", strings.NewReader(strings.Repeat("junk", 1000)), Options{}); err == nil {
		t.Error("junk is a tar")
	}
}

// The guest writes, grows, cuts, removes and renames what is being copied.
func TestWhileTheGuestWrites(t *testing.T) {
	ns := newGuest(t)
	_, err := Read(t.Context(), ns, "/", tarOf(dir("d"), file("d/keep", "kept")), Options{})
	must(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { disturb(t, ns, fmt.Sprint("f", i), stop) })
	}
	in := tarOf(dir("in"), file("in/f", strings.Repeat("x", 100_000)))
	for range 50 {
		var out bytes.Buffer
		if _, err := Write(t.Context(), ns, "/d", &out); err != nil {
			t.Error(err)
		}
		kept := false
		for tr := tar.NewReader(&out); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			kept = kept || h.Name == "d/keep"
			_, err = io.Copy(io.Discard, tr)
			must(t, err)
		}
		if !kept {
			t.Error("a file that nobody touched is not in the copy")
		}
		if _, err := Read(t.Context(), ns, "/", bytes.NewReader(in.Bytes()), Options{Times: true}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

// disturb is a guest that changes the file name in /d.
func disturb(t *testing.T, ns *vfs.Namespace, name string, stop chan struct{}) {
	root, err := ns.OpenRoot("/")
	if err != nil {
		t.Error(err)
		return
	}
	defer root.DecRef()
	p := "d/" + name
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		f, errno := ns.OpenAt(root, p, 0, abi.OCreat, true, true, 0)
		if errno == abi.OK {
			_, _ = f.WriteAt([][]byte{make([]byte, 1000)}, uint64(i%100*1000))
			_ = f.SetSize(uint64(i % 5000))
			f.DecRef()
		}
		switch i % 7 {
		case 1:
			_ = ns.RenameAt(root, p, root, p+"x")
		case 2:
			_ = ns.UnlinkAt(root, p)
		case 3:
			_ = ns.MkdirAt(root, p)
		case 4:
			_ = ns.RmdirAt(root, p)
			_ = ns.SymlinkAt("keep", root, p)
		case 5:
			_ = ns.UnlinkAt(root, p)
		}
	}
}

// A copy ends when its context does.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, newGuest(t), "/", io.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Read(ctx, newGuest(t), "/", tarOf(file("f", "x")), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestBaseName(t *testing.T) {
	for p, want := range map[string]string{
		"/a/b": "b", "/a/b/": "b", "/a/b/.": ".", "/": ".", ".": ".", "a": "a", "..": ".", "/.": ".", "a/..": ".",
	} {
		if got := BaseName(p); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
}

// entriesOf makes entries of a fuzzer's text, one a line: the kind, the name and,
// after a '>', where it links to or what is in it.
func entriesOf(text string) (out []entry) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSuffix(l, "\n"); l == "" || len(out) == 16 {
			continue
		}
		name, rest, _ := strings.Cut(l[1:], ">")
		if len(name) > 1000 || strings.Contains(name+rest, "\x00") {
			continue
		}
		e := entry{name: name, kind: l[0]}
		switch e.kind {
		case tar.TypeLink, tar.TypeSymlink:
			e.link = rest
		case tar.TypeReg:
			e.data = rest
		case tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		default:
			continue
		}
		out = append(out, e)
	}
	return out
}

// Whatever a sandbox sends, nothing changes but in the directory that is
// unpacked into.
func FuzzUnpack(f *testing.F) {
	for _, c := range hostiles {
		var b strings.Builder
		for _, e := range c.tar {
			fmt.Fprintf(&b, "%c%s>%s%s\n", max(e.kind, tar.TypeReg), e.name, e.link, e.data)
		}
		f.Add(b.String(), "", "")
	}
	f.Add("5b\n0b/f>x\n2b/l>f\n", "b", "secret")
	f.Fuzz(func(t *testing.T, text, from, to string) {
		if len(text) > 8<<10 || strings.Contains(from+to, "/") || to == ".." {
			return
		}
		b, err := tryTar(entriesOf(text))
		if err != nil {
			return
		}
		raw := b.Bytes()
		top := t.TempDir()
		put(t, filepath.Join(top, "secret"), "secret")
		must(t, os.Mkdir(filepath.Join(top, "in"), 0o755))
		root := openRoot(t, filepath.Join(top, "in"))
		_, _ = Unpack(t.Context(), bytes.NewReader(raw), root, Options{Times: true, From: from, To: to})
		untouched(t, top)
		_, _ = Unpack(t.Context(), strings.NewReader(text), root, Options{})
		_, _ = Read(t.Context(), newGuest(t), "/", bytes.NewReader(raw), Options{Times: true})
	})
}
