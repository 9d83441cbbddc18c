package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/kernel"
)

// The control protocol is one JSON request and one JSON reply a connection. A
// later issue settles a versioned one.

// A Request asks a running system for something.
type Request struct {
	Op     string // "checkpoint", "signal", "status"
	Dir    string `json:",omitempty"`
	Leave  bool   `json:",omitempty"`
	Signal int32  `json:",omitempty"`
}

// A Reply answers it.
type Reply struct {
	Error string            `json:",omitempty"`
	Stats *checkpoint.Stats `json:",omitempty"`
	State string            `json:",omitempty"`
	CPU   int64             `json:",omitempty"` // ns
}

// maxMessage bounds a message, in bytes.
const maxMessage = 64 << 10

// sockPath is the control socket's name, short enough for a socket's address
// wherever the store is: through a descriptor of its directory.
func (e *Entry) sockPath() (path string, done func(), err error) {
	d, err := os.Open(e.dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/control.sock", d.Fd()), func() { d.Close() }, nil
}

// A control answers requests for one system.
type control struct {
	sys      *System
	listener net.Listener
	wg       sync.WaitGroup
	room     chan struct{} // a place for each connection

	mu      sync.Mutex
	closing bool                  // protected by mu
	reading map[net.Conn]struct{} // connections whose request is awaited; protected by mu
}

// Bounds on those who connect. They are the user's own processes, but a broken
// one must not keep the system from ending.
const (
	maxConns       = 32
	requestTimeout = 10 * time.Second
	replyTimeout   = 5 * time.Second
)

// serve begins to answer. Close ends it.
func serve(e *Entry, s *System) (*control, error) {
	path, done, err := e.sockPath()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, advise(fmt.Errorf("control socket in %s: %w", e.dir, cause(err)), "set STASIS_HOME to a directory where sockets can be made")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(e.dir, "control.sock"), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	c := &control{sys: s, listener: l, room: make(chan struct{}, maxConns), reading: make(map[net.Conn]struct{})}
	c.wg.Go(c.accept)
	return c, nil
}

func (c *control) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		select {
		case c.room <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		c.wg.Go(func() {
			defer func() { <-c.room }()
			defer conn.Close()
			c.answer(conn)
		})
	}
}

// read reads a request, unless the control is closed meanwhile.
func (c *control) read(conn net.Conn) (req Request, err error) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return req, ErrGone
	}
	c.reading[conn] = struct{}{}
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.reading, conn)
	}()
	return req, json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&req)
}

func (c *control) answer(conn net.Conn) {
	req, err := c.read(conn)
	if err != nil {
		return
	}
	reply := c.try(req)
	_ = conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	_ = json.NewEncoder(conn).Encode(reply) // a client that has gone needs no answer
	if req.Op == "checkpoint" && !req.Leave && reply.Error == "" {
		if k := c.sys.Kernel(); k != nil {
			k.Init().Terminate()
		}
	}
}

// try is do; a bug of ours that it meets is its error, and the system runs on.
func (c *control) try(req Request) (reply Reply) {
	defer func() {
		if p := recover(); p != nil {
			reply = Reply{Error: bug(p).Error()}
		}
	}()
	return c.do(req)
}

func (c *control) do(req Request) Reply {
	k := c.sys.Kernel()
	if k == nil {
		return Reply{Error: ErrGone.Error()}
	}
	switch req.Op {
	case "checkpoint":
		if !filepath.IsAbs(req.Dir) {
			return Reply{Error: fmt.Sprintf("image path %.80q is not absolute", req.Dir)}
		}
		st, err := c.sys.Checkpoint(context.Background(), req.Dir, req.Leave)
		if err != nil {
			return Reply{Error: Advise(err).Error()}
		}
		return Reply{Stats: &st}
	case "signal":
		if err := c.sys.Signal(req.Signal); err != nil {
			return Reply{Error: err.Error()}
		}
		return Reply{}
	case "status":
		state := kernel.Dead
		for _, t := range k.Tasks().All() {
			state = t.State()
		}
		return Reply{State: state.String(), CPU: k.Init().CPUTime()}
	}
	return Reply{Error: fmt.Sprintf("request %q is not known", req.Op)}
}

// close ends the control. It waits for requests that are being carried out,
// not for those that have yet to come.
func (c *control) close() {
	c.listener.Close()
	c.mu.Lock()
	c.closing = true
	for conn := range c.reading {
		_ = conn.SetReadDeadline(time.Now())
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// Ask sends a request to a running system and waits for its reply, or until
// ctx is done.
func (e *Entry) Ask(ctx context.Context, req Request) (Reply, error) {
	var reply Reply
	gone := advise(ErrGone, "see how with: stasis wait %s", e.Name())
	path, done, err := e.sockPath()
	if err != nil {
		return reply, gone
	}
	defer done()
	conn, err := e.dial(ctx, path)
	if err != nil {
		if !e.Running() {
			return reply, gone
		}
		return reply, fmt.Errorf("it does not answer: %w", cause(err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return reply, fmt.Errorf("request: %w", cause(err))
	}
	if err := json.NewDecoder(bufio.NewReader(io.LimitReader(conn, maxMessage))).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			return reply, fmt.Errorf("no reply: %w", ctx.Err())
		}
		return reply, advise(errors.New("it has ended before it replied"), "see how with: stasis wait %s", e.Name())
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// dial connects to the system. One that is just being built listens soon.
func (e *Entry) dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", path)
		starting := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
		if err == nil || !starting || !e.Running() {
			return conn, err
		}
		if _, infoErr := e.Info(); infoErr == nil {
			return nil, err // it has listened: it is on its way out
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(waitPoll):
		}
	}
}
