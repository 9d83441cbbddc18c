package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/archive"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/vfs"
)

// copies are the copies of files that are under way. They hold the system's
// world, and end before that goes.
type copies struct {
	mu      sync.Mutex
	ended   sync.Cond                   // a copy has ended; L is &mu, once somebody waits
	running map[*copying]struct{}       // protected by mu
	refused struct{ all, inward error } // why none begin; protected by mu
}

// A copying is one copy under way.
type copying struct {
	inward bool // into the guest; immutable
	cancel context.CancelCauseFunc
}

// errSaved says why nothing is copied into a system any more.
var errSaved = fault.New(fault.WrongState, "the system is being saved, and ends")

// begin begins a copy. End ends it; before, ctx is done when it has to end.
func (c *copies) begin(ctx context.Context, inward bool) (_ context.Context, end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused.all != nil {
		return nil, nil, c.refused.all
	}
	if inward && c.refused.inward != nil {
		return nil, nil, c.refused.inward
	}
	ctx, cancel := context.WithCancelCause(ctx)
	one := &copying{inward, cancel}
	if c.running == nil {
		c.running = make(map[*copying]struct{})
		c.ended.L = &c.mu
	}
	c.running[one] = struct{}{}
	return ctx, func() {
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, one)
		c.ended.Broadcast()
	}, nil
}

// refuse lets no copy begin any more, all of them or those into the guest, and
// ends those under way. It returns when they have ended.
func (c *copies) refuse(why error, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused.inward = why; all {
		c.refused.all = why
	}
	for c.cancelLocked(why, all) {
		c.ended.Wait()
	}
}

// cancelLocked cancels copies, and reports whether there are any.
//
// Preconditions: c.mu is locked.
func (c *copies) cancelLocked(why error, all bool) (any bool) {
	for one := range c.running {
		if all || one.inward {
			one.cancel(why)
			any = true
		}
	}
	return any
}

// allow ends a refuse of copies into the guest.
func (c *copies) allow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused.inward = nil
}

// copy calls do with the guest's tree, until the system ends. Closing the
// stream, which a copy waits on, has to end the waiting.
func (s *System) copy(ctx context.Context, inward bool, stream io.Closer, do func(context.Context, *vfs.Namespace) error) error {
	if s.opts.Spec.StressCheckpoint > 0 {
		return fault.New(fault.Unsupported, "files of a system under --stress checkpoint are replaced again and again, and cannot be copied")
	}
	ctx, end, err := s.copies.begin(ctx, inward)
	if err != nil {
		return err
	}
	defer end()
	if stream != nil {
		stop := context.AfterFunc(ctx, func() { stream.Close() })
		defer stop()
	}
	err = do(ctx, s.world.Namespace)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return copyFault(err)
}

// copyFault adds to an error of a copy its kind and what to do.
func copyFault(err error) error {
	var host unix.Errno
	if err == nil || errors.As(err, &host) { // the stream's
		return err
	}
	var errno abi.Errno
	_ = errors.As(err, &errno) // else it is what is copied that is wrong
	switch errno {
	case abi.ENOENT:
		return fault.New(fault.NotFound, "%v", err) // fs.ErrNotExist is of the host's files
	case abi.EROFS:
		return fault.Advise(fault.Refused, err, "it is read-only for the guest: grant it without :ro or --read-only")
	case abi.EACCES, abi.EPERM:
		return &fault.Error{Kind: fault.Refused, Err: err}
	case abi.ENOSPC, abi.EDQUOT, abi.EMFILE, abi.ENFILE, abi.ENOMEM, abi.EFBIG:
		return &fault.Error{Kind: fault.Exhausted, Err: err}
	}
	return &fault.Error{Kind: fault.Invalid, Err: err}
}

// CopyOut writes a tar of files of the guest to w; see archive.Write. Another
// goroutine may close w, and does, should the system end.
func (s *System) CopyOut(ctx context.Context, path string, w io.WriteCloser) (n archive.Count, err error) {
	err = s.copy(ctx, false, w, func(ctx context.Context, ns *vfs.Namespace) (err error) {
		n, err = archive.Write(ctx, ns, path, w)
		return err
	})
	return n, err
}

// CopyIn unpacks the tar that r has into a directory of the guest; see
// archive.Read. Another goroutine may close r, and does, should the system end.
func (s *System) CopyIn(ctx context.Context, dir string, r io.ReadCloser, o archive.Options) (n archive.Count, err error) {
	err = s.copy(ctx, true, r, func(ctx context.Context, ns *vfs.Namespace) (err error) {
		n, err = archive.Read(ctx, ns, dir, r, o)
		return err
	})
	return n, err
}

// FileInfo tells what a file of the guest is; see archive.Stat.
func (s *System) FileInfo(path string) (i archive.Info, err error) {
	err = s.copy(context.Background(), false, nil, func(_ context.Context, ns *vfs.Namespace) (err error) {
		i, err = archive.Stat(ns, path)
		return err
	})
	return i, err
}

// copy carries out a client's copy.
func (v *server) copy(call control.Call, files []*os.File) (*control.Copied, error) {
	if call.Copy == nil || len(files) != 1 {
		return nil, fault.New(fault.Invalid, "%s takes a path and a descriptor", call.Op)
	}
	stream, err := pollable(files[0])
	if err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	defer stream.Close()
	var n archive.Count
	if call.Op == control.OpCopyOut {
		n, err = v.sys.CopyOut(context.Background(), call.Copy.Path, stream)
	} else {
		n, err = v.sys.CopyIn(context.Background(), call.Copy.Path, stream, archive.Options{Times: call.Copy.Times})
	}
	if errors.Is(err, unix.EPIPE) {
		err = clientGone(err)
	}
	return &control.Copied{Files: n.Files, Bytes: n.Bytes}, err
}

// pollable takes over a pipe or socket that came from a client. Closing what it
// returns ends reads and writes under way.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tar"), nil
}

func (v *server) fileInfo(c *control.Copy) (*control.FileInfo, error) {
	if c == nil {
		return nil, fault.New(fault.Invalid, "%s takes a path", control.OpFileInfo)
	}
	i, err := v.sys.FileInfo(c.Path)
	if err != nil {
		return nil, err
	}
	return &control.FileInfo{Mode: uint32(i.Mode), Size: i.Size, Time: i.Time.UnixNano(), Link: i.Link}, nil
}
