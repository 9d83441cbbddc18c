package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
)

// helperVar has this program be another process: "VERB DIR NAME".
const helperVar = "STASIS_STORE_HELPER"

func TestMain(m *testing.M) {
	if h := os.Getenv(helperVar); h != "" {
		if err := helper(strings.Fields(h)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper does something to a store, says so, and holds what it has until its
// stdin ends.
func helper(args []string) error {
	s, err := store.Open(args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "create":
		e, err := s.Create(args[2], system())
		if err != nil {
			return err
		}
		defer e.Release()
	case "hold":
		e, err := s.Get(args[2])
		if err == nil {
			err = e.Hold()
		}
		if err != nil {
			return err
		}
		if _, err := e.NewExit(); err != nil {
			return err
		}
		defer e.Release()
	case "claim":
		if _, err := s.Claim(args[2]); err != nil {
			return err
		}
	}
	fmt.Println("done")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the end
	return nil
}

// other starts a helper, and returns what it says and how to end it.
func other(t *testing.T, args ...string) (said string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperVar+"="+strings.Join(args, " "))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<10)
	n, _ := out.Read(b) // what it says at first
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // ours, and not waited for yet
		in.Close()
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(kill)
	return strings.TrimSpace(string(b[:n])), kill
}

func system() store.System {
	return store.System{ID: store.RandomID(8), Created: time.Now(), Spec: spec.Spec{Version: 1, Module: "/a.wasm"}}
}

func open(t *testing.T) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func create(t *testing.T, s *store.Store, name string, sys store.System) *store.Entry {
	t.Helper()
	e, err := s.Create(name, sys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Release)
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func TestLife(t *testing.T) {
	s, _ := open(t)
	_, err := s.Get("a")
	wantIs(t, err, store.ErrNotFound)
	e := create(t, s, "a", system())
	_, err = s.Create("a", system())
	wantIs(t, err, store.ErrTaken)
	same, err := s.Get("a")
	must(t, err)
	if !same.Running() || !e.Running() {
		t.Error("it is held, and does not run")
	}
	wantIs(t, same.Hold(), store.ErrRunning)
	e.Release()
	if same.Running() || e.Running() {
		t.Error("it runs after it was released")
	}
	_, err = same.LastRun()
	wantIs(t, err, fs.ErrNotExist)
	_, err = same.Exit()
	wantIs(t, err, fs.ErrNotExist)
	_, err = same.Wait(t.Context())
	wantIs(t, err, fs.ErrNotExist)

	must(t, same.Rename("b"))
	wantIs(t, e.Hold(), store.ErrNotFound)
	create(t, s, "c", system())
	wantIs(t, same.Rename("c"), store.ErrTaken)
	if k := fault.KindOf(same.Rename("../c")); k != fault.Invalid {
		t.Errorf("kind %v", k)
	}
	sys, err := same.System()
	must(t, err)
	for _, prefix := range []string{sys.ID, sys.ID[:4]} {
		if got, err := s.Get(prefix); err != nil || got.Name() != "b" {
			t.Errorf("%s: %v, %v", prefix, got, err)
		}
	}
	_, err = s.Get(sys.ID[:3])
	wantIs(t, err, store.ErrNotFound)
	must(t, same.Hold())
	must(t, same.Remove())
	_, err = s.Get("b")
	wantIs(t, err, store.ErrNotFound)
	wantIs(t, same.Hold(), store.ErrNotFound)
	_, err = same.Wait(t.Context())
	wantIs(t, err, store.ErrNotFound)
	all, err := s.List()
	if err != nil || len(all) != 1 || all[0].Name() != "c" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestPrefixes(t *testing.T) {
	s, _ := open(t)
	for i, id := range []string{"abcd0000", "abcd1111", "abce2222"} {
		sys := system()
		sys.ID = id
		create(t, s, fmt.Sprint("s", i), sys)
	}
	create(t, s, "abcd", system())
	for ref, want := range map[string]string{"abce": "s2", "abcd0": "s0", "abcd": "abcd", "abc": "", "abcd2": "", "abc*": "", ".tmp-": "", "..": ""} {
		e, err := s.Get(ref)
		got := ""
		if err == nil {
			got = e.Name()
		}
		if got != want {
			t.Errorf("%s is %q, want %q (%v)", ref, got, want, err)
		}
	}
}

// Of all who want a name, one gets it.
func TestRace(t *testing.T) {
	s, dir := open(t)
	var said [4]string
	var wg sync.WaitGroup
	for i := range said {
		wg.Go(func() { said[i], _ = other(t, "create", dir, "a") })
	}
	var got []*store.Entry
	for range 20 {
		if e, err := s.Create("a", system()); err == nil {
			got = append(got, e)
		} else if !errors.Is(err, store.ErrTaken) {
			t.Error(err)
		}
	}
	wg.Wait()
	n := len(got)
	for _, line := range said {
		if line == "done" {
			n++
		} else if !strings.Contains(line, store.ErrTaken.Error()) {
			t.Errorf("another process: %s", line)
		}
	}
	if n != 1 {
		t.Errorf("%d got the name", n)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "systems", ".tmp*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What a process held is free when it is killed.
func TestKilled(t *testing.T) {
	s, dir := open(t)
	create(t, s, "a", system()).Release()
	said, kill := other(t, "hold", dir, "a")
	e, err := s.Get("a")
	must(t, err)
	if said != "done" || !e.Running() {
		t.Fatalf("%q, running %v", said, e.Running())
	}
	wantIs(t, e.Hold(), store.ErrRunning)
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = e.Wait(short)
	wantIs(t, err, context.DeadlineExceeded)
	time.AfterFunc(10*time.Millisecond, kill)
	x, err := e.Wait(t.Context())
	if err != nil || !x.Unexpected || x.Code != 137 {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := e.Exit(); err != nil || !x.Unexpected || e.Running() {
		t.Errorf("%+v, %v, running %v", x, err, e.Running())
	}
	must(t, e.Hold())
	said, kill = other(t, "claim", dir, "c")
	if said != "done" {
		t.Fatal(said)
	}
	_, err = s.Claim("c")
	wantIs(t, err, store.ErrRunning)
	kill()
	f, err := s.Claim("c")
	must(t, err)
	f.Close()
}

func TestWait(t *testing.T) {
	s, _ := open(t)
	e := create(t, s, "a", system())
	f, err := e.NewExit()
	must(t, err)
	defer f.Close()
	_, err = e.Exit()
	wantIs(t, err, fs.ErrNotExist) // it runs
	looking, err := s.Get("a")
	must(t, err)
	got := make(chan store.Exit, 1)
	go func() {
		x, err := looking.Wait(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- x
	}()
	time.Sleep(20 * time.Millisecond)
	must(t, store.WriteExit(f, store.Exit{Code: 3, Trap: "a\x1b[2J"}))
	select {
	case <-got:
		t.Error("its process lives, and the wait ended")
	case <-time.After(30 * time.Millisecond):
	}
	must(t, e.Remove()) // the waiter knows all the same
	if x := <-got; x.Code != 3 || x.Trap != "a?[2J" {
		t.Errorf("%+v", x)
	}
}

func TestAttempts(t *testing.T) {
	s, _ := open(t)
	e := create(t, s, "a", system())
	if all, err := e.Attempts(); len(all) > 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	f, err := e.File("attempts", os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	must(t, err)
	defer f.Close()
	for _, a := range []store.Attempt{
		{Number: 1, Generation: "g1"}, {Number: 1, Generation: "g1", Outcome: store.Done, Stats: &control.Stats{Frames: 2}},
		{Number: 2, Generation: "g2"},
		{Number: 3, Generation: "g3"}, {Number: 3, Generation: "g3", Outcome: store.Failed, Error: "no\x1b"},
		{Number: 4, Generation: "g4"},
	} {
		must(t, store.AppendAttempt(f, a))
	}
	outcomes := func() (out []string) {
		all, err := e.Attempts()
		must(t, err)
		for _, a := range all {
			out = append(out, a.Outcome)
		}
		return out
	}
	if got, want := outcomes(), []string{store.Done, store.Unknown, store.Failed, store.Running}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	e.Release()
	if got := outcomes(); got[3] != store.Unknown {
		t.Errorf("%v", got)
	}
	// A crash cut a line short; another run goes on after it.
	must(t, errors.Join(second(f.WriteString(`{"attempt":5,"gene`)), store.AppendAttempt(f, store.Attempt{Number: 6}), store.AppendAttempt(f, store.Attempt{Number: 6, Outcome: store.Done}), second(f.WriteString(`{"attempt":7`))))
	if got, want := outcomes(), []string{store.Done, store.Unknown, store.Failed, store.Unknown, store.Done}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func second(_ int, err error) error { return err }

func TestAutoRemove(t *testing.T) {
	s, dir := open(t)
	make := func(name string, ran, held bool) {
		sys := system()
		sys.Spec.AutoRemove = true
		e := create(t, s, name, sys)
		if ran {
			must(t, e.SetRun(store.Run{PID: 1}))
		}
		must(t, os.WriteFile(s.Socket(sys.ID), nil, 0o600))
		if !held {
			e.Release()
		}
	}
	make("new", false, false)
	make("runs", true, true)
	make("ended", true, false)
	s.Sweep()
	all, err := s.List()
	must(t, err)
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"new", "runs"}) {
		t.Errorf("left: %v", names)
	}
	if socks, _ := filepath.Glob(filepath.Join(dir, "run", "*.sock")); len(socks) != 2 {
		t.Errorf("sockets: %v", socks)
	}
}

func TestSweep(t *testing.T) {
	s, dir := open(t)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"systems/.tmp-old", "systems/.tmp-new", "run/dead.sock", "run/new.sock"} {
		path := filepath.Join(dir, name)
		must(t, os.Mkdir(path, 0o700)) // what it is does not matter
		if !strings.Contains(name, "new") {
			must(t, os.Chtimes(path, old, old))
		}
	}
	f, err := s.Claim("free")
	must(t, err)
	f.Close()
	held, err := s.Claim("held")
	must(t, err)
	defer held.Close()
	for _, name := range []string{"free", "held"} {
		must(t, os.Chtimes(filepath.Join(dir, "run", "claims", name), old, old))
	}
	s.Sweep()
	left, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	claims, _ := filepath.Glob(filepath.Join(dir, "run", "claims", "*"))
	var got []string
	for _, p := range slices.Concat(left, claims) {
		got = append(got, strings.TrimPrefix(p, dir+"/"))
	}
	if want := []string{"run/claims", "run/new.sock", "systems/.tmp-new", "run/claims/held"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

// A store may hold anything: it is an error, or left alone.
func TestHostile(t *testing.T) {
	s, dir := open(t)
	outside := filepath.Join(dir, "outside")
	must(t, os.WriteFile(outside, []byte(`{"id":"eeeeeeee"}`), 0o600))
	for name, content := range map[string][]byte{
		"empty": nil, "array": []byte("[]"), "half": []byte(`{"id":`), "deep": bytes.Repeat([]byte("["), 1<<20), "nul": make([]byte, 100),
		"id": []byte(`{"id":"../../../outside","spec":{"auto_remove":true}}`),
	} {
		e := create(t, s, name, system())
		for _, file := range []string{"system.json", "run.json", "exit", "attempts"} {
			must(t, os.WriteFile(filepath.Join(e.Dir(), file), content, 0o600))
		}
		e.Release()
		_, _ = e.System()
		_, _ = e.LastRun()
		if x, err := e.Exit(); err == nil && x.Code == 0 && name != "id" {
			t.Errorf("%s: %+v", name, x)
		}
		if all, err := e.Attempts(); err != nil || len(all) > 1 {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
	link := create(t, s, "link", system())
	for _, file := range []string{"system.json", "run.json", "exit", "attempts"} {
		_ = os.Remove(filepath.Join(link.Dir(), file)) // it may not be there
		must(t, os.Symlink(outside, filepath.Join(link.Dir(), file)))
	}
	for i, err := range []error{
		second2(link.System()), second2(link.LastRun()), second2(link.Exit()), second2(link.Attempts()),
	} {
		if !errors.Is(err, unix.ELOOP) {
			t.Errorf("file %d: a link is followed: %v", i, err)
		}
	}
	pipe := create(t, s, "pipe", system())
	must(t, os.Remove(filepath.Join(pipe.Dir(), "system.json")))
	must(t, unix.Mkfifo(filepath.Join(pipe.Dir(), "system.json"), 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := pipe.System(); err == nil {
			t.Error("a pipe is a system")
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a pipe is waited for")
	}
	s.Sweep()
	if _, err := s.List(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(outside); err != nil || len(b) == 0 {
		t.Errorf("outside: %q, %v", b, err)
	}
}

func second2[T any](_ T, err error) error { return err }

func TestTags(t *testing.T) {
	s, dir := open(t)
	must(t, s.Tag("b", "g1"))
	must(t, s.Tag("a", "g1"))
	wantIs(t, s.Tag("a", "g2"), fs.ErrExist)
	if fault.KindOf(s.Tag("../a", "g")) != fault.Invalid || fault.KindOf(s.Untag("../a")) != fault.Invalid {
		t.Error("a tag is a path")
	}
	must(t, os.Symlink("../../etc", filepath.Join(dir, "tags", "evil")))
	must(t, os.WriteFile(filepath.Join(dir, "tags", "file"), nil, 0o600))
	tags, err := s.Tags()
	if err != nil || len(tags) != 1 || !slices.Equal(tags["g1"], []string{"a", "b"}) {
		t.Errorf("%v, %v", tags, err)
	}
	must(t, s.Untag("a"))
	wantIs(t, s.Untag("a"), fs.ErrNotExist)
}
