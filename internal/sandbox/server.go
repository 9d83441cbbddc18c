package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/version"
)

// A server answers the calls of clients of one system.
type server struct {
	sys      *System
	console  *console
	journal  *journal
	pid      int    // of this process, outside
	owner    uint32 // whose calls are answered, besides root's
	listener net.Listener
	wg       sync.WaitGroup
	room     chan struct{} // a place for each connection

	mu      sync.Mutex
	closing bool                       // protected by mu
	waiting map[*control.Conn]struct{} // connections whose call is awaited; protected by mu
}

// Bounds on those who connect. They are the user's own processes, but a broken
// one must not keep the system from ending.
const (
	maxConns     = 64
	callTimeout  = 10 * time.Second
	replyTimeout = 10 * time.Second
	fileTimeout  = time.Minute // for a client to make a file, or to publish an image
)

// serve begins to answer the calls of owner, a uid, on a listening socket. Close
// ends it.
func serve(listening *os.File, owner, pid int, s *System, c *console, j *journal) (*server, error) {
	l, err := net.FileListener(listening)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", cause(err))
	}
	v := &server{
		sys: s, console: c, journal: j, owner: uint32(owner), pid: pid, listener: l,
		room: make(chan struct{}, maxConns), waiting: make(map[*control.Conn]struct{}),
	}
	v.wg.Go(v.accept)
	return v, nil
}

func (v *server) accept() {
	for {
		conn, err := v.listener.Accept()
		if err != nil {
			return
		}
		u, ok := conn.(*net.UnixConn)
		select {
		case v.room <- struct{}{}:
		default:
			ok = false
		}
		if !ok {
			conn.Close()
			continue
		}
		v.wg.Go(func() {
			defer func() { <-v.room }()
			c := control.NewConn(u)
			defer c.Close()
			v.answer(c)
		})
	}
}

// call reads a call, and what comes along, unless the server is closed meanwhile.
func (v *server) call(c *control.Conn) (call control.Call, files []*os.File, err error) {
	v.mu.Lock()
	if v.closing {
		v.mu.Unlock()
		return call, nil, errEnded
	}
	v.waiting[c] = struct{}{}
	c.Deadline(time.Now().Add(callTimeout))
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.waiting, c)
	}()
	files, err = c.Receive(&call)
	return call, files, err
}

func (v *server) answer(c *control.Conn) {
	uid, err := c.Peer()
	if err == nil && uid != v.owner && uid != 0 {
		err = fault.New(fault.Refused, "the system belongs to user %d, not to user %d", v.owner, uid)
	}
	if err != nil {
		v.reply(c, control.Answer{}, err)
		return
	}
	call, files, err := v.call(c)
	if err != nil {
		return // it has gone, or speaks something else
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	c.Deadline(time.Time{})
	defer func() {
		if p := recover(); p != nil { // a bug of ours: the system runs on
			v.reply(c, control.Answer{}, bug(p))
		}
	}()
	v.do(c, call, files)
	if k := v.sys.Kernel(); k != nil {
		k.Tick()
	}
}

func (v *server) reply(c *control.Conn, a control.Answer, err error) {
	a.Version, a.Fault = control.Version, control.FaultOf(Advise(err))
	c.Patience(replyTimeout)
	_ = c.Send(a) // a client that has gone needs no answer
}

func (v *server) do(c *control.Conn, call control.Call, files []*os.File) {
	switch call.Op {
	case control.OpStatus:
		st, err := v.status()
		v.reply(c, control.Answer{Status: st}, err)
	case control.OpSignal:
		v.reply(c, control.Answer{}, v.sys.Signal(call.Signal))
	case control.OpPause:
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		v.reply(c, control.Answer{}, v.sys.Pause(ctx))
	case control.OpResume:
		v.reply(c, control.Answer{}, v.sys.Resume())
	case control.OpResize:
		v.reply(c, control.Answer{}, v.console.resize(call.Size))
	case control.OpAttach:
		v.attach(c, call.Attach)
	case control.OpCheckpoint:
		v.checkpoint(c, call.Checkpoint)
	case control.OpCopyOut, control.OpCopyIn:
		n, err := v.copy(call, files)
		v.reply(c, control.Answer{Copied: n}, err)
	case control.OpFileInfo:
		i, err := v.fileInfo(call.Copy)
		v.reply(c, control.Answer{File: i}, err)
	case control.OpStacks:
		v.stacks(c)
	case control.OpCoredump:
		v.reply(c, control.Answer{}, v.coredump(files))
	case control.OpProcesses:
		all, err := v.sys.Processes()
		v.reply(c, control.Answer{Processes: all}, err)
	case control.OpSignalProcess:
		v.reply(c, control.Answer{}, v.sys.SignalProcess(call.PID, call.Signal))
	case control.OpExec:
		var module *os.File
		if len(files) > 0 {
			module = files[0]
		}
		v.sys.Exec(c, call.Exec, module, func(a control.Answer, err error) { v.reply(c, a, err) })
	default:
		v.reply(c, control.Answer{}, fault.New(fault.Unsupported,
			"the running system was started by stasis %s, which does not know %q (its protocol is %d, yours %d)",
			version.Number, call.Op, control.Version, call.Version))
	}
}

func (v *server) stacks(c *control.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	all, err := v.sys.Stacks(ctx)
	v.reply(c, control.Answer{Stacks: &control.Stacks{Tasks: all}}, err)
}

func (v *server) coredump(files []*os.File) error {
	if len(files) != 1 {
		return fault.New(fault.Invalid, "%d descriptors came along, want one to write to", len(files))
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return v.sys.WriteCore(ctx, files[0])
}

func (v *server) status() (*control.Status, error) {
	k := v.sys.Kernel()
	switch {
	case k == nil && v.sys.stress().Stopped != nil: // between two, for a moment
		return &control.Status{State: kernel.Running.String(), Time: time.Now().UnixNano(), PID: int32(v.pid)}, nil
	case k == nil:
		return nil, errEnded
	}
	now := time.Now().UnixNano()
	st := k.Stats()
	out := &control.Status{
		State: v.sys.State(), Time: now, CPU: st.CPU, Memory: st.Memory, Tasks: int32(st.Living()), Processes: int32(st.Processes),
		OpenFDs: int32(k.Tasks().OpenFiles()), Attached: int32(len(v.console.attached())),
		Attempts: int32(v.sys.Attempts()), Args: k.Init().Args(), PID: int32(v.pid),
		Compiled: v.sys.compiled(),
	}
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) == nil {
		out.HostCPU = ru.Utime.Nano() + ru.Stime.Nano()
		out.RSS = ru.Maxrss << 10
	}
	return out, nil
}

func (v *server) attach(c *control.Conn, a *control.Attach) {
	if a == nil {
		a = &control.Attach{}
	}
	if v.console.direct[0] != nil {
		v.reply(c, control.Answer{}, fault.Advise(fault.WrongState,
			errors.New("the system's streams belong to the command that started it"), "start it with -d or -it to attach later"))
		return
	}
	v.reply(c, control.Answer{}, nil)
	_, _ = v.console.attach(newClient(c, false), *a, v.signal) // that it has ended, the client sees
}

// signal sends the guest a signal that a client asks for in passing.
func (v *server) signal(sig int32) { _ = v.sys.Signal(sig) } // not a signal: nothing to do

// checkpoint has an image written to files that the client makes.
func (v *server) checkpoint(c *control.Conn, o *control.Checkpoint) {
	if o == nil {
		o = &control.Checkpoint{Leave: true}
	}
	send := func(a control.CheckpointAnswer) error {
		c.Patience(replyTimeout)
		return c.Send(control.Answer{Version: control.Version, Checkpoint: &a})
	}
	if o.OnRequest {
		ctx, cancel := context.WithTimeout(context.Background(), requestPatience)
		defer cancel()
		switch err := v.sys.AwaitSnapshotRequest(ctx); {
		case errors.Is(err, context.DeadlineExceeded):
			_ = send(control.CheckpointAnswer{None: true}) // who waits calls again
			return
		case err != nil:
			v.reply(c, control.Answer{}, err)
			return
		}
	}
	n, gen := v.sys.Begin()
	v.journal.begin(n, gen, o.Path)
	st, err := v.save(c, o, n, gen, send)
	v.journal.end(n, gen, o.Path, st, err)
	if err != nil {
		v.reply(c, control.Answer{}, err)
		return
	}
	_ = send(control.CheckpointAnswer{Stats: &st, Places: v.sys.Places()}) // the image is there, whoever hears of it
	if !o.Leave {
		v.sys.Terminate()
	}
}

// requestPatience is how long a call waits for the guest to ask for a checkpoint: then it
// is seen whether the client is still there.
const requestPatience = 2 * time.Second

func (v *server) save(c *control.Conn, o *control.Checkpoint, n uint64, gen string, send func(control.CheckpointAnswer) error) (control.Stats, error) {
	if err := send(control.CheckpointAnswer{Attempt: n, Generation: gen}); err != nil {
		return control.Stats{}, clientGone(err)
	}
	return v.sys.Checkpoint(context.Background(), Save{
		Attempt: n, Generation: gen, Leave: o.Leave, Thin: o.Thin, DropEnv: o.DropEnv,
		Create: func(name string) (image.File, error) {
			if err := send(control.CheckpointAnswer{File: name}); err != nil {
				return nil, clientGone(err)
			}
			f, err := receiveFile(c)
			if err != nil {
				return nil, err
			}
			return image.NewFile(f), nil
		},
		Publish: func() error {
			if err := send(control.CheckpointAnswer{Written: true}); err != nil {
				return clientGone(err)
			}
			_, err := receiveReply(c)
			return err
		},
	}, cmp.Or(o.Path, "image "+gen), !o.Wait)
}

func clientGone(err error) error {
	return fault.New(fault.Canceled, "the command that asked for it has gone: %w", cause(err))
}

// receiveReply waits for what the client says next.
func receiveReply(c *control.Conn) ([]*os.File, error) {
	c.Deadline(time.Now().Add(fileTimeout))
	defer c.Deadline(time.Time{})
	var r control.CheckpointReply
	files, err := c.Receive(&r)
	switch {
	case err != nil:
		return nil, clientGone(err)
	case r.Fault != nil:
		for _, f := range files {
			f.Close()
		}
		return nil, r.Fault.Err()
	}
	return files, nil
}

// receiveFile waits for the file that the client makes.
func receiveFile(c *control.Conn) (*os.File, error) {
	files, err := receiveReply(c)
	if err != nil {
		return nil, err
	}
	for _, f := range files[min(1, len(files)):] {
		f.Close()
	}
	if len(files) == 0 {
		return nil, fault.New(fault.Internal, "the command that asked for it sent no file")
	}
	return files[0], nil
}

// close ends the server. It waits for calls that are being carried out, not for
// those that have yet to come.
func (v *server) close() {
	v.listener.Close()
	v.mu.Lock()
	v.closing = true
	for c := range v.waiting {
		c.Deadline(time.Now())
	}
	v.mu.Unlock()
	v.wg.Wait()
}
