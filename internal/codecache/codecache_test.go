package codecache_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/codecache"
)

func open(t *testing.T) *codecache.Cache {
	t.Helper()
	c, err := codecache.Open(filepath.Join(t.TempDir(), "code"), 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fill has an entry be n bytes of one file.
func fill(n int) func(context.Context, string) error {
	return func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "code"), make([]byte, n), 0o600)
	}
}

// make1 makes an entry that nobody uses.
func make1(t *testing.T, c *codecache.Cache, k codecache.Key, n int) (dir string) {
	t.Helper()
	u, err := c.Fill(t.Context(), k, codecache.About{Name: "a.wasm"}, fill(n))
	if err != nil {
		t.Fatal(err)
	}
	u.Release()
	return u.Dir
}

func key(n byte) codecache.Key { return codecache.Key{Module: [32]byte{n}, Pass: 1} }

// names are what is in the cache.
func names(t *testing.T, c *codecache.Cache) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "digests" {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestFill(t *testing.T) {
	c := open(t)
	if _, ok := c.Get(key(1)); ok {
		t.Error("an entry is there before it was made")
	}
	dir := make1(t, c, key(1), 3)
	got, ok := c.Get(key(1))
	if !ok || got.Dir != dir || dir != c.Path(key(1)) {
		t.Errorf("%v, %v, want %s", got, ok, dir)
	}
	got.Release()
	st, err := os.Stat(filepath.Join(dir, "code"))
	if err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := c.Verify(key(1).String()); err != nil {
		t.Error(err)
	}
	for _, k := range []codecache.Key{key(2), {Module: key(1).Module, Pass: 2}, {Module: key(1).Module, Pass: 1, Counted: true}, {Module: key(1).Module, Pass: 1, Engine: "2"}} {
		if _, ok := c.Get(k); ok {
			t.Errorf("%v is there, too", k)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "code"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(key(1).String()); err == nil {
		t.Error("a changed file is not found")
	}
	failure := errors.New("a failure")
	if _, err := c.Fill(t.Context(), key(3), codecache.About{}, func(context.Context, string) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	if got := names(t, c); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

func TestFillAtOnce(t *testing.T) {
	c := open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			u, err := c.Fill(t.Context(), key(1), codecache.About{}, fill(1000))
			if err != nil || u.Dir != c.Path(key(1)) {
				t.Errorf("%v, %v", u, err)
			}
			u.Release()
			if err := c.Verify(key(1).String()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := names(t, c); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

// What a compiler leaves that was subverted is refused, and nothing outside is
// touched.
func TestHostileHelper(t *testing.T) {
	c := open(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(dir string) error{
		"a symbolic link":         func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "code")) },
		"a link under our name":   func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "SHA256SUMS")) },
		"a second name":           func(dir string) error { return os.Link(outside, filepath.Join(dir, "code")) },
		"a pipe":                  func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "code"), 0o600) },
		"a socket":                func(dir string) error { return unix.Mknod(filepath.Join(dir, "code"), unix.S_IFSOCK|0o600, 0) },
		"a directory of our name": func(dir string) error { return os.Mkdir(filepath.Join(dir, "SHA256SUMS"), 0o700) },
		"many files": func(dir string) error {
			for i := range 100 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		"itself gone": os.Remove,
		"itself another": func(dir string) error {
			return errors.Join(os.Remove(dir), os.Symlink(filepath.Dir(outside), dir))
		},
	} {
		_, err := c.Fill(t.Context(), key(9), codecache.About{}, func(_ context.Context, dir string) error { return make(dir) })
		if err == nil {
			t.Errorf("%s is taken", name)
		}
		if got := names(t, c); len(got) > 0 {
			t.Errorf("%s: left: %v", name, got)
			os.RemoveAll(filepath.Join(c.Dir(), got[0]))
		}
	}
	if st, err := os.Stat(outside); err != nil || st.Mode().Perm() != 0o600 || st.Size() != 0 {
		t.Errorf("outside: %v, %v", st, err)
	}
}

func TestSweep(t *testing.T) {
	c := open(t)
	for name, age := range map[string]time.Duration{".tmp-old": 2 * time.Hour, ".tmp-new": 0} {
		dir := filepath.Join(c.Dir(), name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chtimes(dir, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	c.Sweep()
	if got := names(t, c); len(got) != 1 || got[0] != ".tmp-new" {
		t.Errorf("left: %v", got)
	}
	if all, err := c.List(); len(all) > 0 || err != nil {
		t.Errorf("listed: %v, %v", all, err)
	}
}

func TestPrune(t *testing.T) {
	c := open(t)
	for i := range byte(4) {
		dir := make1(t, c, key(i), 10_000)
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	u, _ := c.Get(key(3)) // used just now
	u.Release()
	removed, err := c.Prune(25_000)
	if err != nil || len(removed) != 2 {
		t.Fatalf("%+v, %v", removed, err)
	}
	for i, want := range []bool{true, false, false, true} {
		u, ok := c.Get(key(byte(i)))
		if ok != want {
			t.Errorf("entry %d: %v", i, ok)
		}
		u.Release()
	}
	if removed, err := c.Prune(0); err != nil || len(removed) != 2 {
		t.Errorf("%+v, %v", removed, err)
	}
}

// A file that changes, and keeps its size, has another digest.
func TestDigest(t *testing.T) {
	c := open(t)
	path := filepath.Join(t.TempDir(), "a.wasm")
	check := func(content string) {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range 2 {
			if d, err := c.Digest(f); err != nil || d != sha256.Sum256([]byte(content)) {
				t.Errorf("digest of %q: %x, %v", content, d, err)
			}
		}
	}
	for i := range 5 {
		content := strings.Repeat(string(rune('a'+i)), 100)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil { // its ctime tells
			t.Fatal(err)
		}
		check(content)
	}
	c.Later(2500 * time.Millisecond)
	check(strings.Repeat("e", 100)) // noted
	notes, err := os.ReadDir(filepath.Join(c.Dir(), "digests"))
	if err != nil || len(notes) != 1 {
		t.Errorf("notes: %v, %v", notes, err)
	}
	for _, n := range notes { // half a note is none
		if err := os.WriteFile(filepath.Join(c.Dir(), "digests", n.Name()), []byte("12"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(strings.Repeat("e", 100))
	if err := os.WriteFile(path, []byte(strings.Repeat("f", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	check(strings.Repeat("f", 100))
}

// What is being loaded stays, whoever prunes; what is being removed is not found.
func TestInUse(t *testing.T) {
	c := open(t)
	for i := range byte(2) {
		make1(t, c, key(i), 10)
	}
	u, ok := c.Get(key(0))
	if !ok {
		t.Fatal("not there")
	}
	removed, err := c.Prune(0)
	if err != nil || len(removed) != 1 || removed[0].Key != key(1).String() {
		t.Errorf("%+v, %v", removed, err)
	}
	if err := c.Verify(key(0).String()); err != nil {
		t.Error(err)
	}
	u.Release()
	if removed, err := c.Prune(0); err != nil || len(removed) != 1 {
		t.Errorf("%+v, %v", removed, err)
	}
	if got := names(t, c); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	if err := c.Verify(key(0).String()); err != nil {
		t.Errorf("an entry that is gone: %v", err)
	}
}

// Whoever adds an entry removes those used longest ago, and never its own.
func TestLimit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "code")
	c, err := codecache.Open(dir, 25_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(4) {
		dir := make1(t, c, key(i), 10_000)
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	make1(t, c, key(9), 100_000)
	if got := names(t, c); len(got) != 1 || got[0] != key(9).String() {
		t.Errorf("left: %v", got)
	}
}

// An entry says what it is, and one that lies or is damaged is listed, too.
func TestAbout(t *testing.T) {
	c := open(t)
	k := key(1)
	k.Engine = "1.2.3"
	dir := make1(t, c, k, 10)
	all, err := c.List()
	if err != nil || len(all) != 1 || all[0].Name != "a.wasm" || all[0].Engine != "1.2.3" || all[0].Pass != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	for _, content := range []string{"{", strings.Repeat(" ", 1<<20) + "{}", `{"name": 3}`} {
		if err := os.WriteFile(filepath.Join(dir, "ABOUT"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := c.List(); err != nil || len(all) != 1 || all[0].Name != "" {
			t.Errorf("%.10s: %+v, %v", content, all, err)
		}
	}
}

// Many commands fill, load, verify and prune one cache at the same time. What is in
// use is whole, always.
func TestManyCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "code")
	var wg sync.WaitGroup
	for g := range byte(8) {
		wg.Go(func() {
			c, err := codecache.Open(dir, 30_000)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range byte(20) {
				k := key((g*7 + i*3) % 6)
				u, ok := c.Get(k)
				if !ok {
					if u, err = c.Fill(t.Context(), k, codecache.About{}, fill(10_000)); err != nil {
						t.Error(err)
						return
					}
				}
				if b, err := os.ReadFile(filepath.Join(u.Dir, "code")); err != nil || len(b) != 10_000 {
					t.Errorf("%d bytes, %v", len(b), err)
				}
				if err := c.Verify(k.String()); err != nil {
					t.Error(err)
				}
				u.Release()
				if _, err := c.Prune(20_000); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// extend adds files to an entry.
func extend(t *testing.T, c *codecache.Cache, notes []string, files map[string]string) error {
	t.Helper()
	u, ok := c.Get(key(1))
	if !ok {
		t.Fatal("no entry")
	}
	defer u.Release()
	return c.Extend(t.Context(), u, func(_ context.Context, dir string) ([]string, error) {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				return nil, err
			}
		}
		return notes, nil
	})
}

// What is added to an entry is found and verified, and changes nothing of it.
func TestExtend(t *testing.T) {
	c := open(t)
	u, err := c.Fill(t.Context(), key(1), codecache.About{}, func(_ context.Context, dir string) error {
		return errors.Join(os.Mkdir(filepath.Join(dir, "native"), 0o700), os.WriteFile(filepath.Join(dir, "native", "hot"), []byte("hot"), 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Release()
	if got := u.Notes(); len(got) != 0 {
		t.Errorf("notes before: %q", got)
	}
	if err := extend(t, c, []string{"1 2"}, map[string]string{"native/a": "a", "native/hot": "other", "other/b": "b", "c": "c", "SHA256SUMS": "d"}); err != nil {
		t.Fatal(err)
	}
	if err := extend(t, c, []string{"5 6"}, map[string]string{"native/a": "another", "native/e": "e"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"native/a": "a", "native/hot": "hot", "native/e": "e", "other/b": "", "c": ""} {
		if got, _ := os.ReadFile(filepath.Join(u.Dir, name)); string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(u.Notes(), ", "); got != "1 2, 5 6" {
		t.Errorf("notes %q", got)
	}
	if err := c.Verify(key(1).String()); err != nil {
		t.Error(err)
	}
	if got := names(t, c); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
	if err := os.WriteFile(filepath.Join(u.Dir, "native", "e"), []byte("f"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(key(1).String()); err == nil {
		t.Error("a changed file that was added is not found")
	}
}

// What a helper must not leave, it must not add, either.
func TestExtendRefuses(t *testing.T) {
	c := open(t)
	make1(t, c, key(1), 3)
	u, _ := c.Get(key(1))
	defer u.Release()
	err := c.Extend(t.Context(), u, func(_ context.Context, dir string) ([]string, error) {
		return nil, os.Symlink("/etc/passwd", filepath.Join(dir, "link"))
	})
	if err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("error %v", err)
	}
	if err := c.Verify(key(1).String()); err != nil {
		t.Error(err)
	}
}
