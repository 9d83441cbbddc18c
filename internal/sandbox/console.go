package sandbox

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A console is where a guest's standard streams come from and go to. All output
// goes into the log. Besides, there are three sorts:
//
//   - direct: the streams are descriptors of whoever started the system;
//   - streams: clients attach over the control socket and leave again;
//   - a terminal: the same, with a terminal of the kernel's own between.
type console struct {
	log    *logWriter
	prefix string      // of the names that its files are saved under
	direct [3]*os.File // nil unless direct
	stdin  bool        // the guest has an input
	null   *os.File    // for a guest without an input; nil: nothing can be opened any more

	tty    *ttyfs.Terminal // nil without
	shown  chan struct{}   // the terminal has output
	quit   chan struct{}   // closed at the end
	input  *io.PipeWriter  // of streams; nil without stdin
	inputR *io.PipeReader
	pump   sync.WaitGroup

	mu      sync.Mutex
	clients map[*client]struct{} // protected by mu
	ended   bool                 // protected by mu
}

// A client is somebody who is attached.
type client struct {
	conn  *control.Conn
	owner bool          // the system ends with it: it is waited for as long as it takes
	gone  chan struct{} // closed when it is attached no more
	left  atomic.Bool   // it said so itself
	once  sync.Once
}

func newClient(conn *control.Conn, owner bool) *client {
	return &client{conn: conn, owner: owner, gone: make(chan struct{})}
}

func (c *client) leave() { c.once.Do(func() { close(c.gone) }) }

// clientPatience is how long a client may not read before it is let go: output
// waits for those who are attached, as with docker, but not for ever.
var clientPatience = 30 * time.Second

func newConsole(log *logWriter, stdin bool) (*console, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	return &console{log: log, stdin: stdin, null: null, clients: make(map[*client]struct{})}, nil
}

// useDirect has the guest use descriptors of ours.
func (c *console) useDirect(files [3]*os.File) { c.direct = files }

// useStreams has the guest use what clients send and receive.
func (c *console) useStreams() { c.inputR, c.input = io.Pipe() }

// useTerminal has the guest use a terminal, whose keys send it signals.
func (c *console) useTerminal(size *control.Size, signal func(int32)) {
	o := ttyfs.Options{Name: c.prefix + ttyName, Tee: func(p []byte) { c.log.write("tty", p) }}
	o.Signal = signal
	tio := ttyfs.DefaultTermios()
	tio.Iflag |= ttyfs.IUTF8
	o.Termios = &tio
	if size != nil {
		o.Size = winsize(size)
	}
	c.tty = ttyfs.New(o)
	c.tty.SetDiscard(true) // until somebody attaches
	c.shown = make(chan struct{}, 1)
	c.quit = make(chan struct{})
	c.pump.Go(c.show)
}

// ttyName is the name under which the terminal is saved.
const ttyName = "tty"

// show gives the terminal's output to those who are attached.
func (c *console) show() {
	e := waiter.NewEntry(waiter.In, func(waiter.EventMask) {
		select {
		case c.shown <- struct{}{}:
		default:
		}
	})
	c.tty.Master().Register(e)
	defer c.tty.Master().Unregister(e)
	buf := make([]byte, 16<<10)
	for {
		if n := c.tty.ReadOutput(buf); n > 0 {
			c.send(control.Stream{Stdout: buf[:n]})
			continue
		}
		select {
		case <-c.shown:
		case <-c.quit:
			for n := c.tty.ReadOutput(buf); n > 0; n = c.tty.ReadOutput(buf) {
				c.send(control.Stream{Stdout: buf[:n]})
			}
			return
		}
	}
}

// terminal is the terminal that a saved system goes on with.
func (c *console) terminal(name string) (*ttyfs.Terminal, error) {
	if name != ttyName {
		return nil, nil
	}
	return c.tty, nil
}

func winsize(s *control.Size) ttyfs.Winsize {
	return ttyfs.Winsize{Rows: uint16(min(s.Rows, 1<<16-1)), Cols: uint16(min(s.Cols, 1<<16-1))}
}

// file is the guest's file of a standard stream.
func (c *console) file(p *hostfile.Poller, name string) (vfs.File, error) {
	switch {
	case c.tty != nil:
		return c.tty.Open(), nil
	case name == "stdin" && !c.stdin && c.null == nil:
		return hostfile.NewReader(c.prefix+name, strings.NewReader("")), nil
	case name == "stdin" && !c.stdin:
		return hostfile.Inherit(p, int(c.null.Fd()), c.prefix+name)
	case c.direct[0] != nil:
		return c.directFile(p, name)
	case name == "stdin":
		return hostfile.NewReader(c.prefix+name, c.inputR), nil
	}
	return hostfile.NewWriter(c.prefix+name, &output{c, name}), nil
}

func (c *console) directFile(p *hostfile.Poller, name string) (vfs.File, error) {
	i := map[string]int{"stdin": 0, "stdout": 1, "stderr": 2}[name]
	f, err := hostfile.Inherit(p, int(c.direct[i].Fd()), name)
	if err != nil || name == "stdin" {
		return f, err
	}
	if t, ok := f.(interface{ Tee(func([]byte)) }); ok {
		t.Tee(func(b []byte) { c.log.write(name, b) })
	}
	return f, nil
}

// An output is a stream's way to the log and the clients.
type output struct {
	c    *console
	name string
}

func (o *output) Write(p []byte) (int, error) {
	o.c.broadcast(o.name, p)
	return len(p), nil
}

// broadcast gives output to the log and to all who are attached.
func (c *console) broadcast(stream string, p []byte) {
	c.log.write(stream, p)
	msg := control.Stream{Stdout: p}
	if stream == "stderr" {
		msg = control.Stream{Stderr: p}
	}
	c.send(msg)
}

// send gives something to all who are attached.
func (c *console) send(msg control.Stream) {
	for _, cl := range c.attached() {
		if !cl.owner {
			cl.conn.Patience(clientPatience)
		}
		if err := cl.conn.Send(msg); err != nil {
			cl.leave()
		}
	}
}

func (c *console) attached() []*client {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*client, 0, len(c.clients))
	for cl := range c.clients {
		all = append(all, cl)
	}
	return all
}

// print writes what is not the guest's own, such as results of --invoke, where
// its output goes.
func (c *console) print(s string) error {
	if s == "" {
		return nil
	}
	if c.direct[1] == nil {
		c.broadcast("stdout", []byte(s))
		return nil
	}
	c.log.write("stdout", []byte(s))
	_, err := io.WriteString(c.direct[1], s)
	return err
}

var errEnded = errors.New("the system has ended")

// attach serves a client until it leaves, or the system ends. signal is called
// with what it sends the guest.
func (c *console) attach(cl *client, a control.Attach, signal func(int32)) (detached bool, err error) {
	if err := c.join(cl); err != nil {
		return false, err
	}
	return c.serve(cl, a, signal), nil
}

// join has a client get the output from now on.
func (c *console) join(cl *client) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errEnded
	}
	c.clients[cl] = struct{}{}
	if c.tty != nil {
		c.tty.SetDiscard(false)
	}
	return nil
}

// serve takes what a client sends, until it leaves or the console ends.
func (c *console) serve(cl *client, a control.Attach, signal func(int32)) (detached bool) {
	if a.Size != nil && c.tty != nil {
		c.tty.Resize(winsize(a.Size))
	}
	go func() {
		defer cl.leave()
		cl.left.Store(c.receive(cl, a.Stdin, signal))
	}()
	<-cl.gone
	c.mu.Lock()
	delete(c.clients, cl)
	if c.tty != nil && len(c.clients) == 0 {
		c.tty.SetDiscard(true)
	}
	c.mu.Unlock()
	return cl.left.Load()
}

// resize sets the size of the terminal.
func (c *console) resize(s *control.Size) error {
	if c.tty == nil || s == nil {
		return fault.New(fault.WrongState, "the system has no terminal")
	}
	c.tty.Resize(winsize(s))
	return nil
}

// receive takes what a client sends, and reports whether it has said that it
// leaves.
func (c *console) receive(cl *client, stdin bool, signal func(int32)) (detached bool) {
	for {
		var m control.Stream
		files, err := cl.conn.Receive(&m)
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			return false
		}
		switch {
		case m.Detach:
			return true
		case m.Size != nil && c.tty != nil:
			c.tty.Resize(winsize(m.Size))
		case m.Signal != 0:
			signal(m.Signal)
		case !stdin:
		case len(m.Stdin) > 0 && c.tty != nil:
			c.tty.Input(m.Stdin)
		case len(m.Stdin) > 0 && c.input != nil && c.stdin:
			if _, err := c.input.Write(m.Stdin); err != nil {
				stdin = false // nobody will read it
			}
		case m.EOF && c.input != nil && c.tty == nil:
			c.input.Close()
		}
	}
}

// end tells clients that nothing follows, and lets them go.
func (c *console) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	if c.tty != nil {
		close(c.quit)
		c.pump.Wait()
	}
	for _, cl := range c.attached() {
		cl.conn.Patience(time.Second)
		_ = cl.conn.Send(control.Stream{Ended: true}) // it may have gone
		cl.leave()
	}
	if c.input != nil {
		c.input.Close()
		c.inputR.Close()
	}
	if c.null != nil {
		c.null.Close()
	}
}
