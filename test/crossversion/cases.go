package crossversion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
)

// A Case is a guest and the moment at which it is saved: when it has written
// "ready", and is blocked, or computes.
type Case struct {
	Name  string
	Guest string // in guests; Name by default
	Spec  spec.Spec
	Wake  Wake

	before  string // its input until then
	runs    bool   // it computes when it is saved
	fresh   bool   // it has not run at all
	signals []int32
	dials   bool   // somebody connects to it first
	typed   string // at its terminal, when it is ready
	host    string // content of host/data.txt
	holds   func(st *checkpoint.State) error
}

func text(s string) *string { return &s }

var seed = uint64(42)

// Cases are those that images are made of now.
var Cases = []Case{
	{Name: "loop", Wake: Wake{About: "a loop in mid-way"}, runs: true, holds: inLoop},
	{Name: "thin", Guest: "loop", Wake: Wake{About: "the same, without its module", Thin: true}, runs: true, holds: inLoop},
	{Name: "vectors", Wake: Wake{About: "a loop with v128 locals"}, runs: true, holds: inLoop},
	{Name: "bulk", Wake: Wake{About: "in the middle of a memory.fill"}, runs: true, holds: inBulk},
	{Name: "deep", Wake: Wake{About: "a thousand frames", Stdin: text("\n")}, holds: atLeast(1000)},
	{Name: "tables", Wake: Wake{About: "function references, tables and dropped segments changed; traps at the end", Stdin: text("\n")}},
	{Name: "globals", Wake: Wake{About: "globals of all types, NaNs of odd bits", Stdin: text("\n")}},
	{Name: "grown", Wake: Wake{About: "a memory that has grown, with a page of zeros", Stdin: text("\n")}},
	{Name: "start", Wake: Wake{About: "in the start function", Stdin: text("\n")}},
	{Name: "trap", Wake: Wake{About: "traps after the wake", Stdin: text("\n")}},
	{Name: "fresh", Guest: "args", fresh: true, Wake: Wake{About: "saved before it ran", Stdin: text("\n")},
		Spec: spec.Spec{Args: []string{"fresh", "bread"}}},
	{Name: "args", Wake: Wake{About: "arguments and environment, not all of them UTF-8", Stdin: text("\n")},
		Spec: spec.Spec{Args: []string{"prog", "", "two words", "\xff\xfe"}, Env: []string{"HOME=/", "ODD=\x80"}}},
	{Name: "read", Wake: Wake{About: "blocked in a read", Stdin: text("some input\nand more\n")}},
	{Name: "unread", before: "one\ntwo\nthree", Wake: Wake{About: "asleep, with input read ahead", Stdin: text(" and four\n")}},
	{Name: "poll", Wake: Wake{About: "asleep until a time, and polling its input"}},
	{Name: "clock", Wake: Wake{About: "seeded random bytes, a wall clock of its own", Stdin: text("\n")},
		Spec: spec.Spec{Seed: &seed, Clock: "fixed:2001-09-09T01:46:40Z"}},
	{Name: "files", Wake: Wake{About: "open files in a root in memory: unlinked, appended to, sparse, a listing", Stdin: text("\n")}},
	{Name: "tmpfs", Wake: Wake{About: "a root that is read only and a full file system in memory", Stdin: text("\n")},
		Spec: spec.Spec{ReadOnly: true, Tmpfs: []spec.Tmpfs{{Guest: "/tmp", Size: 64 << 10}}}},
	{Name: "tty", Guest: "lines", typed: "first line\nsecond li", Spec: spec.Spec{TTY: true},
		Wake: Wake{About: "a terminal with a line and a half of unread input", TTY: true, Typed: "ke\x7fne\nlast\n\x04"}},
	{Name: "stopped", Guest: "read", signals: []int32{19}, holds: stopped,
		Wake: Wake{About: "stopped by SIGSTOP", Stdin: text("go on\n"), Signals: []int32{18}}},
	{Name: "pending", Guest: "read", signals: []int32{20, 15}, holds: stopped,
		Wake: Wake{About: "stopped by SIGTSTP, with a SIGTERM that waits", Signals: []int32{18}}},
	{Name: "accept", Spec: spec.Spec{Listen: []string{"tcp:127.0.0.1:0"}},
		Wake: Wake{About: "waiting for a connection", Listen: []string{"tcp:127.0.0.1:0"}, Send: "hello\n"}},
	{Name: "conn", Spec: spec.Spec{Listen: []string{"tcp:127.0.0.1:0"}}, dials: true,
		Wake: Wake{About: "a connection, which is gone after the wake", Listen: []string{"tcp:127.0.0.1:0"}, Send: "again\n"}},
	{Name: "host", host: "one and two and three\n",
		Wake: Wake{About: "a file of a directory of the host, half read", Stdin: text("\n"), Dir: "/host"}},
}

func thread(st *checkpoint.State) (frames int, pending, bulk bool) {
	th := st.Kernel.Processes[0].Tasks[0].Thread
	return len(th.Frames), th.Pending != nil, th.Pending != nil && th.Pending.Bulk
}

func inLoop(st *checkpoint.State) error {
	if n, pending, _ := thread(st); n < 2 || pending {
		return fmt.Errorf("not in the loop: %d frames, pending %v", n, pending)
	}
	return nil
}

func inBulk(st *checkpoint.State) error {
	if _, _, bulk := thread(st); !bulk {
		return errors.New("not in a memory operation")
	}
	return nil
}

func atLeast(n int) func(*checkpoint.State) error {
	return func(st *checkpoint.State) error {
		if have, _, _ := thread(st); have < n {
			return fmt.Errorf("%d frames", have)
		}
		return nil
	}
}

func stopped(st *checkpoint.State) error {
	if st.Kernel.Processes[0].Tasks[0].GroupStop == 0 {
		return errors.New("not stopped")
	}
	return nil
}

// tries is how often a case is saved until it was at the right moment.
const tries = 100

// Make makes the case's directory below dir: it is saved, and what it does after
// the wake is recorded. Guests is the directory of the modules.
func (c *Case) Make(ctx context.Context, dir, guests string) error {
	dir = filepath.Join(dir, c.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var err error
	for range tries {
		if err = c.save(ctx, dir, guests); err == nil || ctx.Err() != nil {
			break
		}
		if rerr := os.RemoveAll(filepath.Join(dir, imageDir)); rerr != nil {
			return rerr
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	w := c.Wake
	w.TTY = c.Spec.TTY
	out, exit, err := w.Restore(ctx, dir)
	if err != nil {
		return fmt.Errorf("%s: wake: %w", c.Name, err)
	}
	w.Exit = exit
	b, err := json.MarshalIndent(&w, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, caseFile), append(b, '\n'), 0o600),
		os.WriteFile(filepath.Join(dir, wantFile), []byte(out), 0o600),
	)
}

// save boots the guest and saves it at its moment.
func (c *Case) save(ctx context.Context, dir, guests string) error {
	name := c.Guest
	if name == "" {
		name = c.Name
	}
	path := filepath.Join(guests, name+".wasm")
	module, err := os.Open(path)
	if err != nil {
		return err
	}
	defer module.Close()
	if err := c.prepare(dir, path); err != nil {
		return err
	}
	m := newMachine(c.Spec.TTY)
	defer m.close()
	sp := c.Spec
	sp.Version, sp.Module = spec.Version, path
	if sp.Args == nil {
		sp.Args = []string{name}
	}
	if err := m.boot(ctx, sandbox.Options{Name: c.Name, Spec: sp, Module: module}, c.Wake.Dir, filepath.Join(dir, hostDir)); err != nil {
		return err
	}
	if !c.fresh {
		m.start(ctx)
		hangUp, err := c.settle(ctx, m)
		defer hangUp()
		if err != nil {
			return err
		}
	}
	return c.write(ctx, m, filepath.Join(dir, imageDir))
}

// prepare makes what lies beside the image.
func (c *Case) prepare(dir, module string) error {
	var err error
	if c.Wake.Thin {
		b, rerr := os.ReadFile(module)
		err = errors.Join(rerr, os.WriteFile(filepath.Join(dir, moduleFile), b, 0o600))
	}
	if c.host != "" {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, hostDir), 0o700),
			os.WriteFile(filepath.Join(dir, hostDir, "data.txt"), []byte(c.host), 0o600))
	}
	return err
}

// settle waits until the guest is where it is to be saved. HangUp is called when
// it has been.
func (c *Case) settle(ctx context.Context, m *machine) (hangUp func(), err error) {
	hangUp = func() {}
	if c.before != "" {
		go io.WriteString(m.feed.(io.Writer), c.before)
	}
	if c.dials {
		conn, err := m.dial("hello\n")
		if err != nil {
			return hangUp, err
		}
		hangUp = func() { conn.Close() }
	}
	for !strings.Contains(m.output(), "ready") || !c.runs && m.sys.State() != "blocked" {
		if err := m.pause(ctx); err != nil {
			return hangUp, fmt.Errorf("not ready: %w: %s", err, m.output())
		}
	}
	if m.tty != nil {
		m.tty.Input([]byte(c.typed)) // its echo is not shown before the wake
	}
	for _, sig := range c.signals {
		if err := m.sys.Signal(sig); err != nil {
			return hangUp, err
		}
		for m.sys.State() != "stopped" {
			if err := m.pause(ctx); err != nil {
				return hangUp, err
			}
		}
	}
	return hangUp, nil
}

// pause lets some time go by, and tells if the guest has ended.
func (m *machine) pause(ctx context.Context) error {
	select {
	case <-m.done:
		how, err := m.wait()
		return errors.Join(errors.New("it has ended: "+how), err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Millisecond):
		return nil
	}
}

func (c *Case) write(ctx context.Context, m *machine, dir string) error {
	if err := m.save(ctx, dir, c.Wake.Thin); err != nil {
		return err
	}
	im, st, err := Open(dir)
	if err != nil {
		return err
	}
	defer im.Close()
	if c.holds != nil {
		return c.holds(st)
	}
	return nil
}

// Open opens an image and reads its state.
func Open(dir string) (*image.Image, *checkpoint.State, error) {
	im, err := image.Open(image.OS, dir)
	if err != nil {
		return nil, nil, err
	}
	st, err := checkpoint.Open(im)
	if err != nil {
		im.Close()
		return nil, nil, err
	}
	return im, st, nil
}
