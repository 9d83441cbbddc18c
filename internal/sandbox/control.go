package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

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

	mu    sync.Mutex
	saved string // image after which the system was ended; protected by mu
}

// serve begins to answer. Close ends it.
func serve(e *Entry, s *System) (*control, error) {
	path, done, err := e.sockPath()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(e.dir, "control.sock"), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	c := &control{sys: s, listener: l}
	c.wg.Go(c.accept)
	return c, nil
}

func (c *control) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() {
			defer conn.Close()
			c.answer(conn)
		})
	}
}

func (c *control) answer(conn net.Conn) {
	var req Request
	if err := json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&req); err != nil {
		return
	}
	reply := c.do(req)
	_ = json.NewEncoder(conn).Encode(reply) // a client that has gone needs no answer
	if req.Op == "checkpoint" && !req.Leave && reply.Error == "" {
		c.sys.Kernel().Init().Terminate()
	}
}

func (c *control) do(req Request) Reply {
	k := c.sys.Kernel()
	if k == nil {
		return Reply{Error: ErrGone.Error()}
	}
	switch req.Op {
	case "checkpoint":
		st, err := c.sys.Checkpoint(context.Background(), req.Dir, req.Leave)
		if err != nil {
			return Reply{Error: err.Error()}
		}
		if !req.Leave {
			c.mu.Lock()
			c.saved = req.Dir
			c.mu.Unlock()
		}
		return Reply{Stats: &st}
	case "signal":
		if err := k.Init().Signal(req.Signal); err != nil {
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

func (c *control) close() {
	c.listener.Close()
	c.wg.Wait()
}

func (c *control) checkpointed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saved
}

// Ask sends a request to a running system and waits for its reply, or until
// ctx is done.
func (e *Entry) Ask(ctx context.Context, req Request) (Reply, error) {
	var reply Reply
	path, done, err := e.sockPath()
	if err != nil {
		return reply, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if !e.Running() {
			return reply, fmt.Errorf("system %s: %w (see how with: stasis wait %s)", e.Name(), ErrGone, e.Name())
		}
		return reply, fmt.Errorf("system %s does not answer: %w", e.Name(), err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return reply, fmt.Errorf("system %s: %w", e.Name(), err)
	}
	if err := json.NewDecoder(bufio.NewReader(io.LimitReader(conn, maxMessage))).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return reply, fmt.Errorf("system %s: reply: %w", e.Name(), err)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}
