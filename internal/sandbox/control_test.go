package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
)

// TestMain keeps Go's collector from starting behind a looping guest, as the
// host process does.
func TestMain(m *testing.M) {
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// deadline bounds a test's waits.
func deadline(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), time.Minute)
}

const guests = "../../cmd/stasis/testdata/guests/"

// A running is a system that runs in this process, with its control.
type running struct {
	*System
	e    *Entry
	ctl  *control
	done chan kernel.ExitStatus
}

// start runs a guest; stdout goes nowhere near it.
func start(t *testing.T, c Config) *running {
	t.Helper()
	e := create(t, openStore(t), "sys")
	s, err := Boot(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctl, err := serve(e, s)
	if err != nil {
		t.Fatal(errors.Join(err, s.Close()))
	}
	if err := e.SetInfo(Info{Name: "sys"}); err != nil {
		t.Fatal(err)
	}
	r := &running{s, e, ctl, make(chan kernel.ExitStatus, 1)}
	go func() {
		st, err := s.Run(context.Background())
		if err != nil {
			t.Error(err)
		}
		r.done <- st
	}()
	t.Cleanup(func() {
		_ = s.Signal(kernel.SIGKILL)
		r.ended(t)
		closed := make(chan struct{})
		go func() { ctl.close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Error("the control does not close")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// ended waits for the end.
func (r *running) ended(t *testing.T) kernel.ExitStatus {
	t.Helper()
	select {
	case st := <-r.done:
		r.done <- st
		return st
	case <-time.After(time.Minute):
	}
	t.Fatal("it does not end")
	return kernel.ExitStatus{}
}

func (r *running) ask(t *testing.T, req Request) (Reply, error) {
	t.Helper()
	ctx, cancel := deadline(t)
	defer cancel()
	return r.e.Ask(ctx, req)
}

func (r *running) connect(t *testing.T) net.Conn {
	t.Helper()
	path, done, err := r.e.sockPath()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

func spinning() Config { return Config{Name: "sys", File: "testdata/spin.wasm"} }

func TestRequests(t *testing.T) {
	r := start(t, spinning())
	if got, err := r.ask(t, Request{Op: "status"}); err != nil || got.State != "running" {
		t.Errorf("status: %+v, %v", got, err)
	}
	dir := t.TempDir()
	st, err := r.ask(t, Request{Op: "checkpoint", Dir: dir + "/a", Leave: true})
	if err != nil || st.Stats == nil || st.Stats.Frames == 0 {
		t.Errorf("checkpoint: %+v, %v", st, err)
	}
	for _, req := range []Request{
		{}, {Op: "nix"}, {Op: "checkpoint"}, {Op: "checkpoint", Dir: "relative"}, {Op: "checkpoint", Dir: dir + "/a"},
		{Op: "checkpoint", Dir: "/"}, {Op: "checkpoint", Dir: dir + "/nix/a"}, {Op: "checkpoint", Dir: dir + "/\x00"},
		{Op: "signal", Signal: -1}, {Op: "signal", Signal: 65}, {Op: "signal", Signal: 1 << 30},
	} {
		if got, err := r.ask(t, req); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %+v, %v", req, got, err)
		}
	}
	if _, err := r.ask(t, Request{Op: "signal", Signal: 0}); err != nil {
		t.Error(err)
	}
	if _, err := r.ask(t, Request{Op: "checkpoint", Dir: dir + "/b"}); err != nil {
		t.Error(err)
	}
	if st := r.ended(t); st.Signal != kernel.SIGKILL || r.Saved() != dir+"/b" {
		t.Errorf("%+v, saved to %q", st, r.Saved())
	}
	if _, err := r.ask(t, Request{Op: "checkpoint", Dir: dir + "/c"}); err == nil {
		t.Error("one that was saved and ended is saved again")
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

// TestHostileRequests: whatever a client sends or does not, the others are
// served and the system ends when it is told to.
func TestHostileRequests(t *testing.T) {
	r := start(t, spinning())
	for _, text := range []string{
		"", "{", "null", "[]", "1", `"x"`, `{"Op":1}`, `{"Op":"signal","Signal":1e300}`, "\x00\xff", strings.Repeat("[", 10_000),
		`{"Op":"` + strings.Repeat("x", 2*maxMessage) + `"}`, strings.Repeat(" ", maxMessage+1) + "{}",
	} {
		conn := r.connect(t)
		_, _ = io.WriteString(conn, text) // it may be cut off before all is written
		_ = conn.(*net.UnixConn).CloseWrite()
		b, _ := io.ReadAll(io.LimitReader(conn, 10*maxMessage))
		var reply Reply
		if len(b) > 0 && (json.Unmarshal(b, &reply) != nil || reply.Error == "") {
			t.Errorf("%.30q: %.100s", text, b)
		}
		conn.Close()
	}
	for range 3 * maxConns { // clients that say nothing, and stay
		r.connect(t)
	}
	for range maxConns { // and some that go without hearing the reply
		conn := r.connect(t)
		_, _ = io.WriteString(conn, `{"Op":"status"}`)
		conn.Close()
	}
	if err := r.Signal(kernel.SIGTERM); err != nil {
		t.Error(err)
	}
	if st := r.ended(t); st.Signal != kernel.SIGTERM {
		t.Errorf("%+v", st)
	}
}

// TestCheckpointsAtOnce: with many clients at once each image is whole, and
// one of those that end the system wins.
func TestCheckpointsAtOnce(t *testing.T) {
	r := start(t, spinning())
	dir := t.TempDir()
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 6 {
		wg.Go(func() {
			_, err := r.ask(t, Request{Op: "checkpoint", Dir: filepath.Join(dir, string(rune('a'+i))), Leave: i%2 == 0})
			if err == nil && i%2 == 1 {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.ended(t)
	if won != 1 {
		t.Errorf("%d have ended it", won)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range left {
		s, err := Boot(t.Context(), Config{Name: "x", Image: filepath.Join(dir, d.Name())})
		if err != nil {
			t.Error(err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStressSignal: a signal ends a system that is saved and woken all the
// time, whenever it comes.
func TestStressSignal(t *testing.T) {
	for range 5 {
		c := spinning()
		c.StressCheckpoint = 50
		r := start(t, c)
		if err := r.Signal(kernel.SIGINT); err != nil {
			t.Error(err)
		}
		if st := r.ended(t); st.Signal != kernel.SIGINT {
			t.Errorf("%+v", st)
		}
	}
}

func TestAskGone(t *testing.T) {
	s := openStore(t)
	e := create(t, s, "a")
	e.Release()
	ctx, cancel := deadline(t)
	defer cancel()
	if _, err := e.Ask(ctx, Request{Op: "status"}); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "stasis wait a") {
		t.Errorf("%v", err)
	}
	if err := e.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Ask(ctx, Request{Op: "status"}); !errors.Is(err, ErrGone) {
		t.Errorf("removed: %v", err)
	}
}

// TestHostileReply: a client bears what a broken system answers.
func TestHostileReply(t *testing.T) {
	s := openStore(t)
	e := create(t, s, "a")
	path, done, err := e.sockPath()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	done()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, text := range []string{"", "{", "[]", `{"Error":1}`, strings.Repeat(" ", 2*maxMessage) + "{}"} {
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.Copy(conn, bytes.NewReader([]byte(text)))
		}()
		ctx, cancel := deadline(t)
		if r, err := e.Ask(ctx, Request{Op: "status"}); err == nil {
			t.Errorf("%.20q is taken: %+v", text, r)
		}
		cancel()
	}
}

// TestNoSocket: a socket that cannot be made is an error with a remedy.
func TestNoSocket(t *testing.T) {
	e := create(t, openStore(t), "a")
	if err := os.Mkdir(filepath.Join(e.dir, "control.sock"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := serve(e, nil)
	if err == nil || !strings.Contains(err.Error(), "control socket in "+e.dir) || !strings.Contains(err.Error(), "STASIS_HOME") {
		t.Errorf("%v", err)
	}
}

// TestBug: a panic in our own code is one line and says where.
func TestBug(t *testing.T) {
	c := &control{} // no system: any request is a bug
	reply := c.try(Request{Op: "status"})
	if !strings.Contains(reply.Error, "bug in stasis: ") || !strings.Contains(reply.Error, "sandbox.") || strings.Contains(reply.Error, "\n") {
		t.Errorf("%q", reply.Error)
	}
	e := create(t, openStore(t), "a")
	x, err := RunHere(t.Context(), e, spinning(), Info{}, func() { panic("of\na test") })
	if err == nil || !strings.Contains(err.Error(), "bug in stasis: of a test, at ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestParseValue(t *testing.T) {
	s, err := Boot(t.Context(), Config{Name: "x", File: guests + "funcs.wasm", Invoke: "add32", Params: []string{"1", "2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct{ fn, arg string }{
		{"add32", ""}, {"add32", "x"}, {"add32", "4294967296"}, {"add32", "-2147483649"}, {"add32", "1.5"},
		{"add64", "18446744073709551616"}, {"half32", "1e99"}, {"half64", "0x"}, {"vecarg", "1"},
	} {
		params := []string{c.arg, c.arg}
		if c.fn != "add32" && c.fn != "add64" {
			params = params[:1]
		}
		if s, err := Boot(t.Context(), Config{Name: "x", File: guests + "funcs.wasm", Invoke: c.fn, Params: params}); err == nil {
			t.Errorf("%+v is taken", c)
			s.Close()
		} else if strings.Contains(err.Error(), "strconv") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
