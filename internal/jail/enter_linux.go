package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// Enter puts the process into the jail that p describes, given what Start gave
// it, and says which layers hold. A layer that the host does not offer is
// missing from the jail and named in the report; whether to go on without it is the
// caller's choice. An error means that the process is in an unknown
// state: it must exit.
//
// It is to be called once, early: before the process has looked at anything
// hostile, from any goroutine.
func Enter(p Policy, given Given) (Report, error) {
	for _, path := range slices.Concat(p.Read, p.Write) {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			return nil, fmt.Errorf("enter jail: %q is not an absolute, clean path below /", path)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	e := &entry{p: p, given: given}
	for _, step := range []func() error{e.namespaces, e.process, e.root, e.threads, e.last} {
		if err := step(); err != nil {
			return e.report, fmt.Errorf("enter jail: %w", err)
		}
	}
	slices.SortStableFunc(e.report, func(a, b LayerState) int {
		return slices.Index(Layers, a.Layer) - slices.Index(Layers, b.Layer)
	})
	return e.report, nil
}

// An entry is an Enter under way.
type entry struct {
	p       Policy
	given   Given
	report  Report
	list    *threads // opened before /proc goes
	listErr error
}

// off reports whether a layer is to be left off, and says so.
func (e *entry) off(l Layer) bool {
	if e.p.Skip[l] {
		e.report.missing(l, whySkipped)
	}
	return e.p.Skip[l]
}

func (e *entry) namespaces() error {
	direct := len(e.given.Namespaces) > 0 && !e.given.User
	for _, l := range Layers[:slices.Index(Layers, Descriptors)] {
		switch {
		case e.off(l):
		case slices.Contains(e.given.Namespaces, l):
			e.report.held(l, "")
		case l == UserNS && direct:
		default:
			e.report.missing(l, e.given.Why)
		}
	}
	return nil
}

// process does what belongs to the whole process.
func (e *entry) process() error {
	e.list, e.listErr = openThreads()
	if !e.off(Descriptors) {
		if err := closeInherited(&e.p); err != nil {
			return fmt.Errorf("close descriptors: %w", err)
		}
		e.report.held(Descriptors, "")
	}
	if !e.off(Limits) {
		note, err := setLimits(&e.p, e.given)
		if err != nil {
			return err
		}
		e.report.held(Limits, note)
	}
	return nil
}

func (e *entry) root() error {
	if e.off(Root) {
		return nil
	}
	if !slices.Contains(e.given.Namespaces, MountNS) {
		e.report.missing(Root, "no mount namespace")
		return nil
	}
	note, err := privateRoot(&e.p)
	if err != nil {
		e.report.missing(Root, err.Error())
		return nil
	}
	e.report.held(Root, note)
	return nil
}

// threads does what belongs to each thread. The calls are made on this one
// first; those that the host grants are then made on the others, all at once.
// A thread that a goroutine is locked to makes no others: Go has another do it.
// Their order is their need of each other: ids and the bounding set need
// capabilities, landlock needs no_new_privs once these have gone.
func (e *entry) threads() error {
	if e.listErr != nil {
		return e.listErr
	}
	defer e.list.close()
	var made []call
	try := func(calls ...call) error {
		for _, c := range calls {
			a := c.args
			if _, _, errno := unix.RawSyscall6(c.nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
				return errno
			}
			made = append(made, c)
		}
		return nil
	}

	ruleset := e.ruleset()
	if ruleset >= 0 {
		defer unix.Close(ruleset)
	}
	var bounding string
	capsOff := e.off(Capabilities)
	if !capsOff {
		calls, note, err := boundingCalls()
		if err == nil {
			err = try(calls...)
		}
		if err != nil {
			return fmt.Errorf("bounding set: %w", err)
		}
		bounding = note
	}
	if err := e.uid(try); err != nil {
		return err
	}
	// Seccomp and landlock ask for it.
	needed := !e.p.Skip[Seccomp] || ruleset >= 0
	if needed || !e.p.Skip[NoNewPrivs] {
		if err := try(prctl(unix.PR_SET_NO_NEW_PRIVS, 1)); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
		e.report.held(NoNewPrivs, "")
	} else {
		e.off(NoNewPrivs)
	}
	if !capsOff {
		if err := try(ambientCall(), capsetCall()); err != nil {
			return fmt.Errorf("capabilities: %w", err)
		}
		e.report.held(Capabilities, bounding)
	}
	if ruleset < 0 {
		return e.list.broadcast(made)
	}
	// This thread lists the others, which landlock would not let it.
	restrict := call{unix.SYS_LANDLOCK_RESTRICT_SELF, [6]uintptr{uintptr(ruleset)}}
	if err := e.list.broadcast(append(slices.Clip(made), restrict)); err != nil {
		return err
	}
	if err := try(restrict); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}

// ruleset makes landlock's rules; -1 if there are none.
func (e *entry) ruleset() int {
	if e.off(Landlock) {
		return -1
	}
	fd, note, err := landlockRuleset(&e.p)
	if err != nil {
		e.report.missing(Landlock, err.Error())
		return -1
	}
	e.report.held(Landlock, note)
	return fd
}

func (e *entry) uid(try func(...call) error) error {
	uid := os.Getuid()
	switch {
	case e.off(UID):
	case uid != 0:
		e.report.held(UID, fmt.Sprintf("the caller's: %d", uid))
	case len(e.p.Dirs) > 0:
		e.report.missing(UID, "stays root: a host directory is granted")
	case !e.p.Drop:
		e.report.missing(UID, "stays root: not asked to drop")
	case e.given.User:
		e.report.missing(UID, "stays root: the user namespace has no other")
	default:
		err := try(dropCalls()...)
		if errors.Is(err, unix.EPERM) { // neither CAP_SETUID nor CAP_SETGID
			e.report.missing(UID, "stays root: "+err.Error())
			return nil
		}
		if err != nil {
			return fmt.Errorf("drop root: %w", err)
		}
		if sig := e.given.DeathSignal; sig != 0 {
			if err := try(prctl(unix.PR_SET_PDEATHSIG, uintptr(sig))); err != nil {
				return fmt.Errorf("parent-death signal: %w", err)
			}
		}
		e.report.held(UID, fmt.Sprintf("dropped root: %d", nobody))
	}
	return nil
}

// last puts up what would be in the way of the others.
func (e *entry) last() error {
	if !e.off(Dumpable) {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("dumpable: %w", err)
		}
		e.report.held(Dumpable, "")
	}
	if e.off(Seccomp) {
		return nil
	}
	if err := installFilter(filter(&e.p, unix.Getpid())); err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			e.report.missing(Seccomp, err.Error())
			return nil
		}
		return err
	}
	e.report.held(Seccomp, "")
	return nil
}
