// Package crossversion keeps images of every version for ever: what has been
// saved once is woken by every later program, and goes on as it did then.
//
// Below v1 there is a directory for each case: the image, what a restore of it
// is given and how it ends (case.json), and all that the guest writes after the
// wake (want). They were made from the guests in guests by make, once; see
// README.md.
package crossversion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// A Wake is what a restore is given, and how what it restores ends.
type Wake struct {
	About   string   `json:"about"`
	Stdin   *string  `json:"stdin"` // what is still to come; null is nothing, and no end
	Typed   string   `json:"typed,omitempty"`
	TTY     bool     `json:"tty,omitempty"`
	Thin    bool     `json:"thin,omitempty"`    // module.wasm is the module
	Signals []int32  `json:"signals,omitempty"` // sent when it runs
	Dir     string   `json:"dir,omitempty"`     // where the guest has the directory host
	Listen  []string `json:"listen,omitempty"`
	Send    string   `json:"send,omitempty"` // over a connection to the listening socket
	Exit    string   `json:"exit"`
}

// Names of a case's files.
const (
	caseFile   = "case.json"
	wantFile   = "want"
	imageDir   = "image"
	moduleFile = "module.wasm"
	hostDir    = "host"
)

// ReadWake reads what a case's directory says.
func ReadWake(dir string) (w Wake, want string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, caseFile))
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return w, "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, wantFile))
	return w, string(text), err
}

// Copy copies the directory of a case, with the modes that images have: git
// does not keep them.
func Copy(to, from string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() {
			err = errors.Join(err, Copy(dst, src))
			continue
		}
		b, rerr := os.ReadFile(src)
		if rerr == nil {
			rerr = os.WriteFile(dst, b, 0o600)
		}
		err = errors.Join(err, rerr)
	}
	return err
}

// Restore wakes the case in dir, whose image lies in it, and runs it to its end.
func (w *Wake) Restore(ctx context.Context, dir string) (out, exit string, err error) {
	m, err := w.boot(ctx, dir)
	defer m.close()
	if err != nil {
		return "", "", err
	}
	if w.TTY {
		m.tty.SetDiscard(false)
		m.tty.Input([]byte(w.Typed))
	}
	m.start(ctx)
	for _, sig := range w.Signals {
		if err := m.sys.Signal(sig); err != nil {
			return "", "", err
		}
	}
	reply := ""
	if w.Send != "" {
		if reply, err = m.converse(w.Send); err != nil {
			return "", "", err
		}
	}
	exit, err = m.wait()
	return m.output() + reply, exit, err
}

// Again wakes the case and saves it at once.
func (w *Wake) Again(ctx context.Context, dir, image string) error {
	m, err := w.boot(ctx, dir)
	defer m.close()
	if err != nil {
		return err
	}
	return m.save(ctx, image, w.Thin)
}

// boot builds the system of the case in dir.
func (w *Wake) boot(ctx context.Context, dir string) (*machine, error) {
	m := newMachine(w.TTY)
	im, err := image.Open(image.OS, filepath.Join(dir, imageDir))
	if err != nil {
		return m, err
	}
	defer im.Close()
	o := sandbox.Options{Image: im, Spec: spec.Spec{Version: spec.Version, Image: dir, Listen: w.Listen}}
	if w.Thin {
		if o.Module, err = os.Open(filepath.Join(dir, moduleFile)); err != nil {
			return m, err
		}
		defer o.Module.Close()
	}
	if w.Stdin != nil {
		m.stdin = strings.NewReader(*w.Stdin)
	}
	return m, m.boot(ctx, o, w.Dir, filepath.Join(dir, hostDir))
}

// save writes an image of the system, which ends.
func (m *machine) save(ctx context.Context, dir string, thin bool) error {
	d, err := image.Create(image.OS, dir)
	if err != nil {
		return err
	}
	_, err = m.sys.Checkpoint(ctx, sandbox.Save{
		Attempt: 1, Generation: image.NewGeneration(), Thin: thin, Create: d.File, Publish: d.Publish,
	}, dir, false)
	if err != nil {
		err = errors.Join(err, d.Abort())
	}
	return err
}

// A machine is a system in this process, with streams that a test looks at.
type machine struct {
	sys    *sandbox.System
	stdin  io.Reader
	feed   io.Closer // the other end of stdin
	tty    *ttyfs.Terminal
	listen map[string]*os.File
	dirs   []*os.File

	mu   sync.Mutex
	text strings.Builder // protected by mu

	done   chan struct{} // closed when status and err are valid
	status kernel.ExitStatus
	err    error
}

func newMachine(tty bool) *machine {
	r, w := io.Pipe()
	m := &machine{stdin: r, feed: w, listen: make(map[string]*os.File), done: make(chan struct{})}
	if tty {
		m.tty = ttyfs.New(ttyfs.Options{Name: "tty"})
	}
	return m
}

// Write takes the guest's output.
func (m *machine) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(p)
}

// output is all that the guest has written so far.
func (m *machine) output() string {
	if m.tty != nil {
		buf := make([]byte, ttyfs.OutputSize)
		for n := m.tty.ReadOutput(buf); n > 0; n = m.tty.ReadOutput(buf) {
			_, _ = m.Write(buf[:n]) // never fails
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// file is the guest's file of a standard stream.
func (m *machine) file(_ *hostfile.Poller, name string) (vfs.File, error) {
	switch {
	case m.tty != nil:
		return m.tty.Open(), nil
	case name == "stdin":
		return hostfile.NewReader(name, m.stdin), nil
	}
	return hostfile.NewWriter(name, m), nil
}

// boot builds the system, with the directory host at guest if that is set.
func (m *machine) boot(ctx context.Context, o sandbox.Options, guest, host string) (err error) {
	o.Granted = sandbox.Granted{Stdio: m.file, Listen: m.listen, Terminal: func(string) (*ttyfs.Terminal, error) { return m.tty, nil }}
	if guest != "" {
		f, err := os.Open(host)
		if err != nil {
			return err
		}
		m.dirs = append(m.dirs, f)
		o.Spec.Dirs, o.Granted.Dirs = []spec.Dir{{Host: host, Guest: guest}}, m.dirs
	}
	for _, name := range o.Spec.Listen {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		if m.listen[name], err = l.(*net.TCPListener).File(); err != nil {
			return err
		}
		l.Close()
	}
	m.sys, err = sandbox.Boot(ctx, o)
	return err
}

// start has the system run.
func (m *machine) start(ctx context.Context) {
	go func() {
		defer close(m.done)
		m.status, m.err = m.sys.Run(ctx)
	}()
}

// wait waits until the system has ended, and tells how.
func (m *machine) wait() (string, error) {
	<-m.done
	if m.err != nil {
		return "", m.err
	}
	switch st := m.status; {
	case st.Trap != nil:
		return "trap: " + st.Trap.Message, nil
	case st.Signal != 0:
		return fmt.Sprintf("signal %d", st.Signal), nil
	default:
		return fmt.Sprintf("exit %d", st.Code), nil
	}
}

// dial connects to the listening socket and sends something.
func (m *machine) dial(s string) (net.Conn, error) {
	for _, f := range m.listen {
		l, err := net.FileListener(f)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		c, err := net.DialTimeout("tcp", l.Addr().String(), time.Minute)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(c, s); err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
	return nil, errors.New("no listening socket")
}

// converse sends something to the listening socket and returns what comes back.
func (m *machine) converse(s string) (string, error) {
	c, err := m.dial(s)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // a socket takes one
	b, err := io.ReadAll(c)
	return string(b), err
}

func (m *machine) close() {
	if m.sys != nil {
		m.sys.Terminate()
		_ = m.sys.Close() // of a test
	}
	m.feed.Close()
	for _, f := range m.dirs {
		f.Close()
	}
	for _, f := range m.listen {
		f.Close()
	}
}
