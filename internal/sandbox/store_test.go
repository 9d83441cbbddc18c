package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openStore(t *testing.T) *Store {
	t.Helper()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t *testing.T, s *Store, name string) *Entry {
	t.Helper()
	e, err := s.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Release)
	return e
}

func TestParseDir(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   string
		want Dir // the zero one is an error
	}{
		{"/a", Dir{"/a", "/a", false}},
		{"/a:/b", Dir{"/a", "/b", false}},
		{"/a:/b:ro", Dir{"/a", "/b", true}},
		{"/a:ro", Dir{"/a", "/a", true}},
		{"/a:b", Dir{"/a", "/b", false}},
		{"/a/../b//c/:/d/../e/", Dir{"/b/c", "/e", false}},
		{"/a:/../../b", Dir{"/a", "/b", false}},
		{"rel:/w", Dir{cwd + "/rel", "/w", false}},
		{"rel", Dir{cwd + "/rel", "/rel", false}},
		{"/a:/ro:ro", Dir{"/a", "/ro", true}},
		{"", Dir{}}, {":", Dir{}}, {":/b", Dir{}}, {"/a:/", Dir{}}, {"/a:/b/..", Dir{}}, {".", Dir{}}, {"/", Dir{}},
		{"/a:/b:rw", Dir{}}, {"/a:/b:ro:ro", Dir{}}, {"ro:ro:ro:ro", Dir{}},
	} {
		got, err := ParseDir(c.in)
		if err != nil {
			got = Dir{}
		}
		if got != c.want {
			t.Errorf("%q: %+v, want %+v (%v)", c.in, got, c.want, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "A9", "a.b-c_d", strings.Repeat("x", 63), RandomName()} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "-a", ".a", "_a", "a/b", "../a", "a b", "a\n", "a\x00", "ä", strings.Repeat("x", 64)} {
		if err := CheckName(name); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("name %q: %v", name, err)
		}
		s := openStore(t)
		if _, err := s.Create(name); err == nil {
			t.Errorf("system %q has been created", name)
		}
		if _, err := s.Get(name); err == nil {
			t.Errorf("system %q is there", name)
		}
	}
}

// TestEntry goes through the life of an entry.
func TestEntry(t *testing.T) {
	s := openStore(t)
	if _, err := s.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	e := create(t, s, "a")
	if _, err := s.Create("a"); !errors.Is(err, ErrTaken) {
		t.Errorf("second: %v", err)
	}
	other, err := s.Get("a")
	if err != nil || !other.Running() || !e.Running() {
		t.Fatalf("running: %v", err)
	}
	if err := other.Delete(); !errors.Is(err, ErrRunning) {
		t.Errorf("delete while it runs: %v", err)
	}
	info := Info{Name: "a", PID: 1, Args: []string{"x", "\n"}, Started: time.Unix(1, 0).UTC()}
	if err := e.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Info(); err != nil || fmt.Sprint(got) != fmt.Sprint(info) {
		t.Errorf("info %+v, %v", got, err)
	}
	if _, err := other.Exit(); err == nil {
		t.Error("it has ended while it runs")
	}
	ctx, cancel := deadline(t)
	cancel()
	if _, err := other.Wait(ctx); err == nil {
		t.Error("it has been waited for while it runs")
	}
	if err := e.SetExit(Exit{Code: 7}); err != nil {
		t.Fatal(err)
	}
	e.Release()
	ctx, cancel = deadline(t)
	defer cancel()
	if x, err := other.Wait(ctx); err != nil || x.Code != 7 {
		t.Errorf("wait: %+v, %v", x, err)
	}
	if x, err := other.Exit(); err != nil || x.Code != 7 {
		t.Errorf("exit: %+v, %v", x, err)
	}
	if _, err := s.Create("a"); !errors.Is(err, ErrTaken) {
		t.Errorf("the name of one that has ended: %v", err)
	}
	if err := other.Delete(); err != nil {
		t.Error(err)
	}
	if _, err := other.Wait(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("wait after delete: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(s.dir, "systems")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	create(t, s, "a")
}

// TestUnexpected: whose host process went without a word has ended
// unexpectedly, even if it never said what it is.
func TestUnexpected(t *testing.T) {
	s := openStore(t)
	e := create(t, s, "a")
	e.Release()
	ctx, cancel := deadline(t)
	defer cancel()
	for _, get := range []func() (Exit, error){e.Exit, func() (Exit, error) { return e.Wait(ctx) }} {
		if x, err := get(); err != nil || !x.Unexpected || x.Code != 137 {
			t.Errorf("%+v, %v", x, err)
		}
	}
	// Killed while it wrote.
	if err := os.WriteFile(filepath.Join(e.dir, "lock"), []byte(`{"Code":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err := e.Wait(ctx); err != nil || !x.Unexpected {
		t.Errorf("half a word: %+v, %v", x, err)
	}
	if err := e.Delete(); err != nil {
		t.Error(err)
	}
}

// TestWaitRemoved: who waits for a system in the foreground learns how it
// ended, though its directory has gone by then.
func TestWaitRemoved(t *testing.T) {
	s := openStore(t)
	e := create(t, s, "a")
	lock, err := os.Open(filepath.Join(e.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := errors.Join(e.SetExit(Exit{Code: 3}), e.Remove()); err != nil {
		t.Fatal(err)
	}
	if x, err := e.exitOf(lock); err != nil || x.Code != 3 {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestStrangers: what does not belong into a store is not looked at, and what
// a killed process left is removed once it is old.
func TestStrangers(t *testing.T) {
	s := openStore(t)
	systems := filepath.Join(s.dir, "systems")
	for _, name := range []string{".hidden", "a b", tempPrefix + "new"} {
		if err := os.Mkdir(filepath.Join(systems, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(systems, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(systems, tempPrefix+"old")
	if err := os.MkdirAll(filepath.Join(old, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	if l, err := s.List(); err != nil || len(l) != 0 {
		t.Errorf("%v, %v", l, err)
	}
	if _, err := s.Create("file"); !errors.Is(err, ErrTaken) {
		t.Errorf("a file's name: %v", err)
	}
	create(t, s, "a")
	if _, err := os.Stat(old); err == nil {
		t.Error("what was left is still there")
	}
	if _, err := os.Stat(filepath.Join(systems, tempPrefix+"new")); err != nil {
		t.Error("what is being made has been removed")
	}
}

// TestDamagedEntry: files of a store that are damaged are errors.
func TestDamagedEntry(t *testing.T) {
	s := openStore(t)
	e := create(t, s, "a")
	e.Release()
	for _, text := range []string{"", "{", "[]", `{"PID":"x"}`, "\x00", `{"Code":1e99}`} {
		for _, name := range []string{"info.json", "exit.json"} {
			if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, infoErr := e.Info()
		_, exitErr := e.Exit()
		if infoErr == nil && exitErr == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if err := e.Delete(); err != nil {
		t.Error(err)
	}
}

// TestCreateRace: of many that want a name one gets it, while others look,
// and what they look at is never without an owner.
func TestCreateRace(t *testing.T) {
	s := openStore(t)
	for round := range 20 {
		name := fmt.Sprint("n", round)
		var mu sync.Mutex
		var won []*Entry
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				e, err := s.Create(name)
				if err == nil {
					mu.Lock()
					won = append(won, e)
					mu.Unlock()
				} else if !errors.Is(err, ErrTaken) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				l, err := s.List()
				if err != nil {
					t.Error(err)
				}
				for _, e := range l {
					if e.Name() == name && !e.Running() {
						t.Error("a system without an owner")
					}
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d have the name", len(won))
		}
		if err := won[0].Remove(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(file); err == nil || !strings.Contains(err.Error(), "STASIS_HOME") {
		t.Errorf("a store in a file: %v", err)
	}
	for _, c := range []struct{ home, state, want string }{
		{"/proc/nix", "", "/proc/nix"}, {"", "/proc/nix", "/proc/nix"},
	} {
		t.Setenv("STASIS_HOME", c.home)
		t.Setenv("XDG_STATE_HOME", c.state)
		if _, err := DefaultStore(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
