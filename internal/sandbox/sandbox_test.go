package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
	"github.com/stasis-run/stasis/internal/version"
)

// TestMain keeps Go's collector from starting behind a looping guest, as the
// host process does.
func TestMain(m *testing.M) {
	kernel.OwnCollector()
	os.Exit(m.Run())
}

const patience = time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if err == nil || kindOf(err) != want {
		t.Errorf("error %v is %v, want %v", err, kindOf(err), want)
	}
}

// A running is a system that runs in this process, and answers.
type running struct {
	*testing.T
	sys     *System
	console *console
	server  *server
	entry   *store.Entry
	socket  string
	log     string
	done    chan store.Exit
}

// start runs a guest as a host process does.
func start(t *testing.T, program string, sp spec.Spec) *running {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(dir)
	must(t, err)
	sp.Version, sp.Args = spec.Version, []string{program}
	e, err := st.Create("sys", store.System{ID: "0123456789abcdef", Spec: sp})
	must(t, err)
	r := &running{T: t, entry: e, socket: filepath.Join(dir, "a.sock"), log: filepath.Join(e.Dir(), "log"), done: make(chan store.Exit, 1)}
	h := &host{setup: &Setup{Name: "sys", Spec: sp}, files: make(descriptors), owner: os.Getuid()}
	for _, name := range []string{RoleLog, RoleLog1} {
		h.files[name], err = e.File(name, os.O_CREATE|os.O_RDWR)
		must(t, err)
	}
	attempts, err := e.File("attempts", os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	must(t, err)
	h.journal = &journal{f: attempts}
	must(t, h.openConsole())
	granted, err := h.granted()
	must(t, err)
	module, err := os.Open("../../cmd/stasis/testdata/guests/" + program + ".wasm")
	must(t, err)
	defer module.Close()
	h.sys, err = Boot(t.Context(), Options{Name: "sys", Spec: sp, Granted: granted, Module: module})
	must(t, err)
	l, err := control.Listen(r.socket)
	must(t, err)
	r.server, err = serve(l, h.owner, 0, h.sys, h.console, h.journal)
	must(t, err)
	l.Close()
	r.sys, r.console = h.sys, h.console
	go func() {
		x := h.watch()
		if err := h.sys.Close(); err != nil {
			t.Error(err)
		}
		h.console.end()
		r.server.close()
		e.Release()
		r.done <- x
	}()
	t.Cleanup(func() {
		_ = h.sys.signal(kernel.SIGKILL) // a valid signal
		r.wait()
	})
	return r
}

func (r *running) wait() store.Exit {
	r.Helper()
	select {
	case x := <-r.done:
		r.done <- x
		return x
	case <-time.After(patience):
		r.Fatal("it does not end")
		panic("unreachable")
	}
}

func (r *running) dial() *control.Conn {
	r.Helper()
	c, err := control.Dial(r.Context(), r.socket)
	must(r.T, err)
	c.Deadline(time.Now().Add(patience))
	r.Cleanup(func() { c.Close() })
	return c
}

func (r *running) ask(call control.Call) (control.Answer, error) {
	r.Helper()
	c := r.dial()
	call.Version = control.Version
	must(r.T, c.Send(call))
	var a control.Answer
	_, err := c.Receive(&a)
	must(r.T, err)
	return a, a.Fault.Err()
}

func (r *running) state() string {
	r.Helper()
	a, err := r.ask(control.Call{Op: control.OpStatus})
	must(r.T, err)
	return a.Status.State
}

func (r *running) until(want string) {
	r.Helper()
	for limit := time.Now().Add(patience); r.state() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			r.Fatalf("it is %s, not %s", r.state(), want)
		}
	}
}

// A saver is a client that asks for a checkpoint, step by step.
type saver struct {
	r     *running
	c     *control.Conn
	first control.CheckpointAnswer
	files map[string]*os.File
}

func (r *running) save(k control.Checkpoint) *saver {
	r.Helper()
	s := &saver{r: r, c: r.dial(), files: make(map[string]*os.File)}
	must(r.T, s.c.Send(control.Call{Version: control.Version, Op: control.OpCheckpoint, Checkpoint: &k}))
	return s
}

// next answers what the system asks for, and returns it.
func (s *saver) next() (control.CheckpointAnswer, error) {
	s.r.Helper()
	var a control.Answer
	if _, err := s.c.Receive(&a); err != nil {
		return control.CheckpointAnswer{}, err
	}
	if err := a.Fault.Err(); err != nil {
		return control.CheckpointAnswer{}, err
	}
	k := *a.Checkpoint
	switch {
	case k.File != "":
		f, err := os.Create(filepath.Join(s.r.TempDir(), k.File))
		must(s.r.T, err)
		s.files[k.File] = f
		s.r.Cleanup(func() { f.Close() })
		return k, s.c.Send(control.CheckpointReply{}, f)
	case k.Written:
		return k, s.c.Send(control.CheckpointReply{Published: true})
	case k.Attempt != 0:
		s.first = k
	}
	return k, nil
}

// all goes through to the end.
func (s *saver) all() (control.Stats, error) {
	s.r.Helper()
	for {
		k, err := s.next()
		if err != nil || k.Stats != nil {
			if k.Stats == nil {
				k.Stats = &control.Stats{}
			}
			return *k.Stats, err
		}
	}
}

func (r *running) attempts(want ...string) {
	r.Helper()
	var got []string
	for limit := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		all, err := r.entry.Attempts()
		must(r.T, err)
		got = got[:0]
		for _, a := range all {
			got = append(got, a.Outcome)
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(limit) {
			r.Fatalf("attempts %v, want %v", got, want)
		}
	}
}

func TestServer(t *testing.T) {
	r := start(t, "spin", spec.Spec{})
	r.until("running")
	_, err := r.ask(control.Call{Op: "dance"})
	wantKind(t, err, fault.Unsupported)
	if !strings.Contains(err.Error(), version.Number) || !strings.Contains(err.Error(), "dance") {
		t.Errorf("error %v", err)
	}
	_, err = r.ask(control.Call{Op: control.OpResume})
	wantKind(t, err, fault.WrongState)
	_, err = r.ask(control.Call{Op: control.OpPause})
	must(t, err)
	r.until("paused")
	_, err = r.ask(control.Call{Op: control.OpPause})
	wantKind(t, err, fault.WrongState)
	_, err = r.ask(control.Call{Op: control.OpResume})
	must(t, err)
	_, err = r.ask(control.Call{Op: control.OpResize})
	wantKind(t, err, fault.WrongState)
	_, err = r.ask(control.Call{Op: control.OpSignal, Signal: 99})
	if err == nil {
		t.Error("signal 99 is sent")
	}
	for _, b := range [][]byte{nil, {1}, {1, 0, 0, 0, 0xff}, {255, 255, 255, 255}, []byte("GET / HTTP/1.0\r\n\r\n")} {
		c, err := net.Dial("unix", r.socket)
		must(t, err)
		_, err = c.Write(b)
		must(t, err)
		c.Close()
	}
	r.until("running")
	_, err = r.ask(control.Call{Op: control.OpSignal, Signal: kernel.SIGTERM})
	must(t, err)
	if x := r.wait(); x.Signal != kernel.SIGTERM || x.Code != 143 {
		t.Errorf("%+v", x)
	}
}

func TestKilledWhilePaused(t *testing.T) {
	r := start(t, "spin", spec.Spec{})
	_, err := r.ask(control.Call{Op: control.OpPause})
	must(t, err)
	_, err = r.ask(control.Call{Op: control.OpSignal, Signal: kernel.SIGTERM}) // waits
	must(t, err)
	r.until("paused")
	_, err = r.ask(control.Call{Op: control.OpSignal, Signal: kernel.SIGKILL})
	must(t, err)
	if x := r.wait(); x.Signal != kernel.SIGKILL {
		t.Errorf("%+v", x)
	}
}

// A call is answered to the system's owner and to root only.
func TestWrongUser(t *testing.T) {
	me := uint32(os.Getuid())
	for _, c := range []struct {
		peer, owner uint32
		want        fault.Kind
	}{{me, me, fault.Unsupported}, {0, 12345, fault.Unsupported}, {65534, 12345, fault.Refused}, {65534, 65534, fault.Unsupported}, {65534, 0, fault.Refused}} {
		if c.peer != me && me != 0 {
			continue // only root can be others
		}
		ours, theirs, err := pairOf(c.peer)
		must(t, err)
		v := &server{owner: c.owner, waiting: make(map[*control.Conn]struct{})}
		must(t, theirs.Send(control.Call{Op: "dance"}))
		v.answer(ours)
		var answer control.Answer
		_, err = theirs.Receive(&answer)
		must(t, err)
		wantKind(t, answer.Fault.Err(), c.want)
		ours.Close()
		theirs.Close()
	}
}

// pairOf makes a connection whose peer is a user: a socket's peer is who made it.
func pairOf(uid uint32) (ours, theirs *control.Conn, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const keep = ^uintptr(0)
	if me := os.Getuid(); uid != uint32(me) { // of this thread only, and taken back
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			return nil, nil, errno
		}
		defer func() {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(me), keep); errno != 0 {
				panic(errno)
			}
		}()
	}
	ours, f, err := control.Pair()
	if err != nil {
		return nil, nil, err
	}
	theirs, err = control.FileConn(f)
	return ours, theirs, err
}

func TestCheckpoint(t *testing.T) {
	r := start(t, "spin", spec.Spec{})
	r.until("running")
	s := r.save(control.Checkpoint{Leave: true})
	st, err := s.all()
	if err != nil || st.Attempt != 1 || st.Generation != s.first.Generation {
		t.Fatalf("%+v, %v", st, err)
	}
	r.attempts(store.Done)
	im, err := image.OpenFiles(func(name string) (image.File, error) {
		f := s.files[name]
		if f == nil {
			return nil, os.ErrNotExist
		}
		dup, err := os.Open(f.Name())
		return image.NewFile(dup), err
	})
	must(t, err)
	must(t, im.Verify())
	must(t, im.Close())
	r.until("running")
	// Wait has the second one go after the first; without, it is refused.
	first := r.save(control.Checkpoint{Leave: true, Wait: true})
	for k := (control.CheckpointAnswer{}); k.File == ""; k, err = first.next() {
		must(t, err)
	}
	_, err = r.save(control.Checkpoint{Leave: true}).all()
	wantKind(t, err, fault.WrongState)
	second := r.save(control.Checkpoint{Leave: true, Wait: true})
	both := make(chan error, 1)
	go func() {
		_, err := second.all()
		both <- err
	}()
	_, err = first.all()
	must(t, err)
	must(t, <-both)
	r.attempts(store.Done, store.Done, store.Failed, store.Done)
	_, err = r.save(control.Checkpoint{Path: "/x"}).all()
	must(t, err)
	if x := r.wait(); x.Checkpoint != "/x" {
		t.Errorf("%+v", x)
	}
}

// Wherever the client goes or fails, the attempt is noted as failed and the
// system runs on.
func TestClientGoes(t *testing.T) {
	r := start(t, "spin", spec.Spec{})
	r.until("running")
	var outcomes []string
	for at := 0; ; at++ {
		s := r.save(control.Checkpoint{Wait: true}) // without Leave
		ended := false
		for range at {
			k, err := s.next()
			must(t, err)
			if k.Written {
				ended = true // and so is the system: this is one too many
				break
			}
		}
		if ended {
			break
		}
		if at%2 == 0 {
			s.c.Close()
		} else {
			_ = s.c.Send(control.CheckpointReply{Fault: control.FaultOf(unix.ENOSPC)})
			for _, err := s.next(); err == nil; _, err = s.next() {
			}
			s.c.Close()
		}
		outcomes = append(outcomes, store.Failed)
		r.attempts(outcomes...)
		r.until("running")
	}
	if len(outcomes) < 4 {
		t.Errorf("%d steps only", len(outcomes))
	}
}

// attached is a client that is attached.
func (r *running) attached(a control.Attach) *control.Conn {
	r.Helper()
	c := r.dial()
	must(r.T, c.Send(control.Call{Version: control.Version, Op: control.OpAttach, Attach: &a}))
	var answer control.Answer
	_, err := c.Receive(&answer)
	must(r.T, err)
	must(r.T, answer.Fault.Err())
	return c
}

// read reads output until it ends with want, or all of it for "".
func read(t *testing.T, c *control.Conn, want string) string {
	t.Helper()
	var out bytes.Buffer
	for {
		var m control.Stream
		if _, err := c.Receive(&m); err != nil {
			t.Fatalf("%v; read %q", err, out.String())
		}
		out.Write(m.Stdout)
		out.Write(m.Stderr)
		if m.Ended && want == "" || want != "" && strings.HasSuffix(out.String(), want) {
			return out.String()
		}
		if m.Ended {
			t.Fatalf("ended; read %q, want %q", out.String(), want)
		}
	}
}

func TestAttach(t *testing.T) {
	r := start(t, "cat", spec.Spec{Stdin: true})
	a, b := r.attached(control.Attach{Stdin: true}), r.attached(control.Attach{})
	for limit := time.Now().Add(patience); len(r.console.attached()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("they are not attached")
		}
	}
	must(t, a.Send(control.Stream{Stdin: []byte("one\n")}))
	must(t, b.Send(control.Stream{Stdin: []byte("not taken\n")}))
	read(t, a, "one\n")
	read(t, b, "one\n")
	c := r.attached(control.Attach{})
	must(t, c.Send(control.Stream{Detach: true}))
	c.Close()
	must(t, a.Send(control.Stream{Stdin: []byte("two\n"), EOF: false}))
	must(t, a.Send(control.Stream{EOF: true}))
	if got := read(t, a, ""); got != "two\n" {
		t.Errorf("%q", got)
	}
	if got := read(t, b, ""); got != "two\n" {
		t.Errorf("%q", got)
	}
	if x := r.wait(); x.Code != 0 {
		t.Errorf("%+v", x)
	}
	text, err := os.ReadFile(r.log)
	must(t, err)
	records, n := ParseLog(text)
	var out []byte
	for _, rec := range records {
		out = append(out, rec.Data...)
	}
	if string(out) != "one\ntwo\n" || n != len(text) {
		t.Errorf("log %q", text)
	}
}

func TestTerminal(t *testing.T) {
	r := start(t, "cat", spec.Spec{TTY: true})
	c := r.attached(control.Attach{Stdin: true, Size: &control.Size{Rows: 24, Cols: 80}})
	must(t, c.Send(control.Stream{Stdin: []byte("abx\x7fc\r")}))
	if got := read(t, c, "abc\r\n"); !strings.HasPrefix(got, "abx") {
		t.Errorf("%q", got)
	}
	must(t, c.Send(control.Stream{Size: &control.Size{Rows: 30, Cols: 100}}))
	_, err := r.ask(control.Call{Op: control.OpResize, Size: &control.Size{Rows: 1 << 20}})
	must(t, err)
	_, err = r.ask(control.Call{Op: control.OpResize})
	wantKind(t, err, fault.WrongState)
	must(t, c.Send(control.Stream{Stdin: []byte("\x03")}))
	if x := r.wait(); x.Signal != kernel.SIGINT {
		t.Errorf("%+v", x)
	}
}

// A client that does not read is let go, and holds nobody up for longer.
func TestSlowClient(t *testing.T) {
	was := clientPatience
	clientPatience = 50 * time.Millisecond
	defer func() { clientPatience = was }()
	log := newLogWriter([2]*os.File{}, 0)
	c, err := newConsole(log, false)
	must(t, err)
	c.useStreams()
	ours, theirs, err := control.Pair()
	must(t, err)
	defer ours.Close()
	slow, err := control.FileConn(theirs)
	must(t, err)
	defer slow.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = c.attach(newClient(ours, false), control.Attach{}, func(int32) {})
	}()
	for len(c.attached()) == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 1000 {
		c.broadcast("stdout", make([]byte, 64<<10))
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("it is attached still")
	}
	c.end()
	if _, err := c.attach(newClient(ours, false), control.Attach{}, func(int32) {}); !errors.Is(err, errEnded) {
		t.Errorf("after the end: %v", err)
	}
}

// logFiles are two files for a log.
func logFiles(t *testing.T) (files [2]*os.File) {
	t.Helper()
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), "log"))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		files[i] = f
	}
	return files
}

func records(t *testing.T, f *os.File) []Record {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	must(t, err)
	list, n := ParseLog(b)
	if n != len(b) {
		t.Errorf("%d of %d bytes are records", n, len(b))
	}
	return list
}

// A log keeps the latest output, whatever it is, in no more than its limit.
func TestLogRotation(t *testing.T) {
	files := logFiles(t)
	const limit = 64 << 10
	l := newLogWriter(files, limit)
	binary := []byte("\n\x00 9 stdout 3\n\xff\r\n")
	for i := range 10_000 {
		l.write("stdout", append([]byte(fmt.Sprint(i)), binary...))
	}
	var total int64
	var all []Record
	for _, f := range []*os.File{files[l.turn^1], files[l.turn]} {
		st, err := f.Stat()
		must(t, err)
		total += st.Size()
		all = append(all, records(t, f)...)
	}
	if total > limit || total < limit/3 {
		t.Errorf("%d bytes, at most %d", total, limit)
	}
	for i, r := range all {
		if want := fmt.Sprint(10_000-len(all)+i) + string(binary); string(r.Data) != want || r.Stream != "stdout" || r.Time.IsZero() {
			t.Fatalf("record %d: %+v, want %q", i, r, want)
		}
	}
	l.write("stderr", bytes.Repeat([]byte("x"), 2*limit)) // one that is larger than all
	if all := records(t, files[l.turn]); len(all) != 1 || len(all[0].Data) != 2*limit {
		t.Errorf("%d records", len(all))
	}
}

// What cannot be written is lost, and said as soon as there is room.
func TestLogFails(t *testing.T) {
	files := logFiles(t)
	broken, err := os.Open(files[0].Name()) // for reading only
	must(t, err)
	defer broken.Close()
	l := newLogWriter([2]*os.File{broken, broken}, 1<<20)
	l.write("stdout", []byte("lost\n"))
	l.write("stdout", []byte("lost\n"))
	l.mu.Lock()
	l.files = files
	l.mu.Unlock()
	l.write("stdout", []byte("kept\n"))
	l.write("stdout", []byte("more\n"))
	all := records(t, files[0])
	if len(all) != 2 || !strings.HasPrefix(string(all[0].Data), "stasis: output was lost here: ") || !strings.HasSuffix(string(all[0].Data), "\nkept\n") || string(all[1].Data) != "more\n" {
		t.Errorf("%q", all)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.write("stdout", []byte("at once\n")) })
	}
	wg.Wait()
	if n := len(records(t, files[0])); n != 6 {
		t.Errorf("%d records", n)
	}
	newLogWriter([2]*os.File{}, 0).write("stdout", []byte("nowhere"))
}

func TestParseLog(t *testing.T) {
	const one = "2026-01-02T03:04:05.678Z stdout 3\nab\n\n"
	for in, want := range map[string]int{
		"": 0, one: 1, one + one: 2, one + one[:20]: 1, one + one[:len(one)-1]: 1, "x": 0, "\n\n\n": 0,
		"2026-01-02T03:04:05Z stdout -1\nabc\n": 0, "2026-01-02T03:04:05Z stdout 99999999999999999999\nabc\n": 0,
		"2026-01-02T03:04:05Z stdout 9223372036854775807\nabc\n": 0, "yesterday stdout 1\na\n": 0,
	} {
		list, n := ParseLog([]byte(in))
		if len(list) != want || n > len(in) {
			t.Errorf("%q: %d records of %d bytes", in, len(list), n)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte("2026-01-02T03:04:05.678Z stdout 3\nab\n\n2026-01-02T03:04:05.678Z"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, n := ParseLog(b)
		size := 0
		for _, r := range list {
			size += len(r.Data) + 2
		}
		if n > len(b) || size > n {
			t.Errorf("%d records of %d bytes in %d of %d", len(list), size, n, len(b))
		}
	})
}

// A wait for a pause that is given up leaves the system running.
func TestPauseGivenUp(t *testing.T) {
	r := start(t, "spin", spec.Spec{})
	r.until("running")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.sys.Pause(ctx); err != nil {
		must(t, r.sys.Signal(kernel.SIGHUP))
	} else {
		must(t, r.sys.Signal(kernel.SIGHUP)) // it waits
		must(t, r.sys.Resume())
	}
	if x := r.wait(); x.Signal != kernel.SIGHUP {
		t.Errorf("%+v", x)
	}
}
