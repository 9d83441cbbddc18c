package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
)

// Exit codes of a system that was not ended by its program.
const (
	CodeFailed  = 125 // stasis failed
	codeTrap    = 134 // as abort(3) gives: 128 + SIGABRT
	codeTimeout = 124 // as timeout(1) gives
)

// Main is the process that hosts a system. It is handed all that it needs by its
// parent, gives up everything else before it looks at the program or the image,
// tells the parent that the system runs, and runs it to its end.
func Main() {
	signal.Ignore(unix.SIGPIPE, unix.SIGXFSZ) // the guest gets EPIPE and EFBIG
	signal.Ignore(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	var setup Setup
	conn, files := receiveSetup(ChildCommand, &setup)
	h, err := newHost(&setup, conn, files)
	if err != nil {
		h.fail(err)
		os.Exit(CodeFailed)
	}
	go func() {
		for sig := range signals { // such as those of a machine that is shut down
			h.signal(int32(sig.(unix.Signal)))
		}
	}()
	os.Exit(h.run())
}

// outerPID is this process's pid where /proc was mounted, which is not in its own
// pid namespace.
func outerPID() int {
	name, err := os.Readlink("/proc/self")
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(name) // 0: no such /proc
	return pid
}

// receiveSetup waits for what the parent says. It does not return if that never
// comes: the parent had no use for this process after all, or is no such parent.
func receiveSetup(command string, setup any) (*control.Conn, []*os.File) {
	unix.CloseOnExec(SetupFD)
	conn, err := control.FileConn(os.NewFile(SetupFD, "setup"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "stasis: %s is not for users\n", command)
		os.Exit(CodeFailed)
	}
	files, err := conn.Receive(setup)
	if err != nil {
		os.Exit(CodeFailed)
	}
	return conn, files
}

// A host is the process of a system.
type host struct {
	setup   *Setup
	conn    *control.Conn // to the parent
	files   descriptors
	owner   int // uid that the process was started with
	pid     int // of the process, as those see it who started it; 0 if that is not known
	image   *image.Image
	console *console
	journal *journal
	stress  memoryFiles
	jail    []Layer
	sys     *System
	told    bool // the parent has its report
}

// newHost builds the system. What it opens of the host, it opens before the
// jail is shut; what it reads of the program or image, after.
func newHost(setup *Setup, conn *control.Conn, files []*os.File) (h *host, err error) {
	h = &host{setup: setup, conn: conn, owner: os.Getuid(), pid: outerPID()}
	defer func() {
		if p := recover(); p != nil {
			err = bug(p)
		}
	}()
	engine := openEngineSoon(setup.Cache, &setup.Spec) // it takes a while, and sees nothing of the program
	if h.files, err = setup.take(files); err != nil {
		return h, err
	}
	if err := h.files.need(RoleLock, RoleExit, RoleControl); err != nil {
		return h, err
	}
	h.journal = &journal{f: h.files[RoleAttempts]}
	if err := h.inherited(); err != nil {
		return h, err
	}
	if err := h.openConsole(); err != nil {
		return h, err
	}
	granted, err := h.granted()
	if err != nil {
		return h, err
	}
	if h.stress, err = newStressFiles(&setup.Spec); err != nil {
		return h, err
	}
	if err := h.shut(); err != nil {
		return h, err
	}
	o := Options{
		Name: setup.Name, Spec: setup.Spec, Granted: granted, Module: h.files[RoleModule],
		Cache: setup.Cache, Attempts: setup.Attempts, Stress: h.stress, engine: engine,
		Log: newNotices(setup.Name, h.console.notice), Alone: true,
	}
	if setup.Spec.Image != "" {
		if h.image, err = image.OpenFiles(h.imageFile); err != nil {
			return h, fmt.Errorf("image: %w", err)
		}
		o.Image = h.image
	} else if err := h.files.need(RoleModule); err != nil {
		return h, err
	}
	h.sys, err = Boot(context.Background(), o)
	if h.image != nil {
		err = errors.Join(err, h.image.Close()) // all of it is in memory
	}
	if m := h.files[RoleModule]; m != nil {
		m.Close()
	}
	return h, err
}

// inherited keeps of what the parent has left us what the guest is to have.
func (h *host) inherited() error {
	if sig := h.setup.Given.DeathSignal; sig != 0 { // the parent did not know yet when it started us
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0); err != nil {
			return fmt.Errorf("parent-death signal: %w", err)
		}
	}
	if h.setup.Direct {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	return nil
}

func (h *host) openConsole() (err error) {
	limit := h.setup.Spec.LogLimit
	if limit == 0 {
		limit = spec.DefaultLogLimit
	}
	log := newLogWriter([2]*os.File{h.files[RoleLog], h.files[RoleLog1]}, limit)
	if h.console, err = newConsole(log, h.setup.Spec.Stdin || h.setup.Spec.TTY); err != nil {
		return err
	}
	switch {
	case h.setup.Spec.TTY:
		h.console.useTerminal(h.setup.Size, h.keySignal)
	case h.setup.Direct:
		h.console.useDirect([3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	default:
		h.console.useStreams()
	}
	return nil
}

// signal sends the guest a signal.
func (h *host) signal(sig int32) {
	if h.sys != nil {
		_ = h.sys.Signal(sig) // a client's word: what is no signal is none
	}
}

// keySignal sends a signal of the terminal's to those in its foreground.
func (h *host) keySignal(sig int32) {
	if h.sys != nil {
		h.sys.terminalSignal(h.console.tty, sig)
	}
}

// granted sorts out what the system is given of the host.
func (h *host) granted() (Granted, error) {
	g := Granted{Listen: make(map[string]*os.File), Stdio: h.console.file, Terminal: h.console.terminal}
	g.Core = h.files[RoleCore]
	for i := range h.setup.Spec.Dirs {
		role := RoleDir + strconv.Itoa(i)
		if err := h.files.need(role); err != nil {
			return g, err
		}
		g.Dirs = append(g.Dirs, h.files[role])
	}
	for role, f := range h.files {
		if name, ok := strings.CutPrefix(role, RoleListen); ok {
			g.Listen[name] = f
		}
	}
	return g, nil
}

// imageFile hands package image a file of the image.
func (h *host) imageFile(name string) (image.File, error) {
	f := h.files[RoleImage+name]
	if f == nil {
		return nil, os.ErrNotExist
	}
	delete(h.files, RoleImage+name)
	return image.NewFile(f), nil
}

// fail tells the parent, and all who ask later, that there is no system.
func (h *host) fail(err error) {
	err = Advise(err)
	if h.files[RoleExit] != nil {
		_ = store.WriteExit(h.files[RoleExit], store.Exit{Code: CodeFailed, Error: err.Error(), Ended: time.Now()})
	}
	if !h.told {
		_ = h.conn.Send(Report{Fault: control.FaultOf(err), Jail: h.jail}) // or the parent has gone
	}
}

// run runs the system to its end.
func (h *host) run() (code int) {
	defer func() {
		if p := recover(); p != nil {
			h.fail(bug(p))
			code = CodeFailed
		}
	}()
	srv, err := serve(h.files[RoleControl], h.owner, h.pid, h.sys, h.console, h.journal)
	if err != nil {
		h.fail(err)
		return CodeFailed
	}
	kernel.OwnCollector()
	h.told = true
	if err := h.conn.Send(Report{Jail: h.jail, Args: h.sys.Kernel().Init().Args()}); err != nil && h.setup.Life {
		h.signal(kernel.SIGKILL)
	}
	go h.listen()
	x := h.watch()
	x.Ended = time.Now()
	h.note(x)
	h.noteCore(x)
	err = h.sys.Close()
	h.giveBack()
	err = errors.Join(err, store.WriteExit(h.files[RoleExit], x))
	h.console.end()
	srv.close()
	if err != nil {
		return CodeFailed
	}
	return x.Code
}

// quitTitle stands above the stacks of a system that SIGQUIT ended.
const quitTitle = "SIGQUIT: quit"

// note writes to the log what the guest did not say of its end.
func (h *host) note(x store.Exit) {
	text := ""
	switch {
	case x.Error != "":
		text = x.Error + "\n"
	case x.Limit != "":
		text = x.Limit + "\n"
	case x.Trap != "":
		text = "trap: " + x.Trap + "\n" + x.Stack
	case x.Stack != "":
		text = quitTitle + "\n" + x.Stack
	default:
		return
	}
	h.console.log.write("stderr", []byte("stasis: "+h.setup.Name+": "+text))
}

// noteCore writes to the log what has become of the core dump.
func (h *host) noteCore(x store.Exit) {
	text := x.CoreError
	if x.Core != "" {
		text = "core dumped to " + x.Core
	}
	if text != "" {
		h.console.log.write("stderr", []byte("stasis: "+h.setup.Name+": "+text+"\n"))
	}
}

// giveBack frees what the system had of the host, before anybody hears that it has
// ended.
func (h *host) giveBack() {
	for role, f := range h.files {
		for _, of := range []string{RoleListen, RoleDir, RoleKeep} {
			if strings.HasPrefix(role, of) {
				f.Close()
			}
		}
	}
}

// listen serves the client that started the system, for as long as it is there.
func (h *host) listen() {
	var a control.Attach
	if h.setup.Attach != nil {
		a = *h.setup.Attach
	}
	if h.setup.Attach != nil || h.setup.Life {
		detached, _ := h.console.attach(newClient(h.conn, h.setup.Life), a, h.signal) // that it has ended, the client sees
		if detached {
			return
		}
	}
	if h.setup.Life {
		h.signal(kernel.SIGKILL)
	}
}

// watch runs the system, and ends it when its time is up.
func (h *host) watch() store.Exit {
	timedOut := make(chan struct{})
	if d := h.setup.Spec.Timeout; d > 0 {
		t := time.AfterFunc(d, func() {
			close(timedOut)
			h.signal(kernel.SIGKILL)
		})
		defer t.Stop()
	}
	st, err := h.sys.Run(context.Background())
	late := false
	select {
	case <-timedOut:
		late = true
	default:
	}
	return h.exit(st, err, late)
}

// exit is how the system ended.
func (h *host) exit(st kernel.ExitStatus, err error, late bool) store.Exit {
	x := h.exitOf(st, err, late)
	if f := h.sys.opts.Granted.Core; f != nil {
		if err == nil && (st.Trap != nil || st.Core) {
			h.writeCore(f, st.Trap, &x)
		}
		f.Close()
	}
	return x
}

// writeCore writes a core dump. That it cannot be written changes nothing of how
// the system ended.
func (h *host) writeCore(f *os.File, trap *engine.Trap, x *store.Exit) {
	x.Core = h.setup.Spec.Coredump
	if err := h.sys.writeCore(f, trap); err != nil {
		x.Core, x.CoreError = "", fmt.Sprintf("core dump %s: %v", h.setup.Spec.Coredump, cause(err))
		_ = f.Truncate(0) // half of one is none
	}
}

func (h *host) exitOf(st kernel.ExitStatus, err error, late bool) store.Exit {
	if dir := h.sys.Saved(); dir != "" && st.Signal == kernel.SIGKILL {
		return store.Exit{Checkpoint: dir}
	}
	switch {
	case err != nil:
		return store.Exit{Code: CodeFailed, Error: Advise(err).Error()}
	case late && st.Signal == kernel.SIGKILL:
		return store.Exit{Code: codeTimeout, Signal: st.Signal, Limit: fmt.Sprintf("ended after %v (--timeout)", h.setup.Spec.Timeout)}
	case st.Trap != nil:
		return store.Exit{Code: codeTrap, Trap: st.Trap.Message, Stack: h.trapStack(st.Trap)}
	case st.Limit != "":
		return store.Exit{Code: 128 + int(st.Signal), Signal: st.Signal, Limit: fmt.Sprintf("ended after %v of %s (--cpu-time)", h.setup.Spec.CPUTime, st.Limit)}
	case st.Signal != 0:
		x := store.Exit{Code: 128 + int(st.Signal), Signal: st.Signal}
		if st.Signal == kernel.SIGQUIT {
			x.Stack = h.sys.lastStacks()
		}
		return x
	}
	if err := h.console.print(h.sys.Results(st.Results)); err != nil {
		return store.Exit{Code: CodeFailed, Error: fmt.Sprintf("results: stdout: %v", cause(err))}
	}
	return store.Exit{Code: int(uint8(st.Code))}
}

// trapStack is the stack of a trap for people.
func (h *host) trapStack(t *engine.Trap) string {
	t.Locate()
	st := h.sys.symbols.Stack(t.Trace)
	st.Bound(maxExitBytes)
	return fault.Clean(st.Text()) // names are the guest's
}

// errStrict is in the chain of errors that refuse a jail with holes.
var errStrict = errors.New("the jail is not complete")

// strict refuses a jail with holes.
func strict(layers []Layer) error {
	var missing []string
	for _, l := range layers {
		if !l.Held {
			missing = append(missing, l.Name+": "+l.Why)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.Advise(fault.Refused, fmt.Errorf("%w: %s", errStrict, strings.Join(missing, "; ")), "see: stasis doctor; or do without --jail=strict")
}
