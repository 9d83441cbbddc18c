package launch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
)

// openGrants opens what of the host the system is given.
func (o *opening) openGrants() error {
	s := &o.plan.System.Spec
	for i, d := range s.Dirs {
		f, err := openDir(d)
		if err != nil {
			return err
		}
		o.add(sandbox.RoleDir+strconv.Itoa(i), f)
		if err := o.claim(d, f); err != nil {
			return err
		}
	}
	for _, l := range s.Listen {
		f, err := listen(l)
		if err != nil {
			return fmt.Errorf("listen %s: %w", l, err)
		}
		o.add(sandbox.RoleListen+l, f)
	}
	if s.Coredump != "" {
		f, err := openCore(s.Coredump)
		if err != nil {
			return err
		}
		o.add(sandbox.RoleCore, f)
	}
	return nil
}

// openCore makes the file of a core dump, which others may not read: what the
// program had in memory is in it.
func openCore(path string) (*os.File, error) {
	refuse := func(err error) (*os.File, error) {
		return nil, fault.Advise(fault.Invalid, fmt.Errorf("--coredump %s: %w", path, err), "name a file that can be made")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return refuse(errors.Unwrap(err))
	}
	st, err := f.Stat()
	switch {
	case err == nil && !st.Mode().IsRegular():
		err = errors.New("it is not a regular file")
	case err == nil:
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return refuse(err)
	}
	return f, nil
}

func openDir(d spec.Dir) (*os.File, error) {
	f, err := os.OpenFile(d.Host, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fault.Advise(fault.Invalid, fmt.Errorf("%s %s: %w", d.Flag(), d.Host, errors.Unwrap(err)), "name a directory that exists")
	}
	return f, nil
}

// OpenGrants opens what of the host a system in this process is given. It is
// released when the system has been built.
func OpenGrants(s *spec.Spec) (g sandbox.Granted, release func(), err error) {
	g.Listen = make(map[string]*os.File)
	release = func() {
		for _, f := range g.Dirs {
			f.Close()
		}
		for _, f := range g.Listen {
			f.Close()
		}
	}
	for _, d := range s.Dirs {
		f, err := openDir(d)
		if err != nil {
			release()
			return g, nil, err
		}
		g.Dirs = append(g.Dirs, f)
	}
	for _, l := range s.Listen {
		f, err := listen(l)
		if err != nil {
			release()
			return g, nil, fmt.Errorf("listen %s: %w", l, err)
		}
		g.Listen[l] = f
	}
	if s.Coredump != "" {
		if g.Core, err = openCore(s.Coredump); err != nil { // the system closes it
			release()
			return g, nil, err
		}
	}
	return g, release, nil
}

// claim refuses that two systems of one image write to one directory: each
// thinks that it is alone there.
func (o *opening) claim(d spec.Dir, f *os.File) error {
	if o.plan.System.Spec.Image == "" || !d.Writable() || d.Shared {
		return nil
	}
	config, err := image.OpenConfig(image.OS, o.plan.System.Spec.Image)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	name := fmt.Sprintf("writer-%s-%x-%x", config.Generation, st.Dev, st.Ino)
	lock, err := o.plan.Store.Claim(name)
	if errors.Is(err, store.ErrRunning) {
		return fault.Advise(fault.Refused, fmt.Errorf("--dir %s: another system of this image writes there", d.Host),
			"grant it to both: --dir %s:%s:shared, or give this one a directory of its own", d.Host, d.Guest)
	}
	if err != nil {
		return fmt.Errorf("--dir %s: %w", d.Host, err)
	}
	o.add(sandbox.RoleKeep+strconv.Itoa(len(o.files)), lock)
	return nil
}

// listen makes a listening socket of tcp:HOST:PORT.
func listen(spec string) (*os.File, error) {
	network, addr, _ := strings.Cut(spec, ":")
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, sandbox.Advise(&listenError{err})
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// A listenError is what package net says, without the address, which its reader
// knows.
type listenError struct{ error }

func (e *listenError) Error() string {
	var errno unix.Errno
	if errors.As(e.error, &errno) {
		return errno.Error()
	}
	return e.error.Error()
}

func (e *listenError) Unwrap() error { return e.error }
