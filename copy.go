package stasis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/archive"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// CopyOptions say how files are copied into a system.
type CopyOptions struct {
	Times bool // they keep their times of modification
}

// FileInfo is what a file of a guest is.
type FileInfo struct {
	Mode    fs.FileMode // type bits; guests know no others
	Size    int64       // bytes
	ModTime time.Time
	Link    string // target of a symbolic link
}

// CopyOut writes a tar of what path is in the guest's tree to w. The system may
// run meanwhile, wait, or be paused. A symbolic link is copied as one, unless a
// slash comes after it. The first entry has path's last part for its name; of
// "dir/." it is ".". The tar is the guest's word: whoever unpacks it has to see
// to it that nothing in it leads elsewhere. CopyOut returns only after Writes of w
// have.
func (s *System) CopyOut(ctx context.Context, path string, w io.Writer) error {
	return s.fail("copy", s.copyOut(ctx, path, w))
}

func (s *System) copyOut(ctx context.Context, path string, w io.Writer) error {
	if s.embedded != nil {
		g, err := s.embedded.copying(s)
		if err != nil {
			return err
		}
		r, pw := io.Pipe()
		return through(ctx, w, r, func() error {
			_, err := g.System.CopyOut(ctx, path, pw)
			_ = pw.CloseWithError(err)
			return err
		})
	}
	r, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	return through(ctx, w, r, func() error {
		return s.copyCall(ctx, control.Call{Op: control.OpCopyOut, Copy: &control.Copy{Path: path}}, pw)
	})
}

// through runs do, which writes to a pipe and closes it, and moves what comes out
// at r to w. If w fails, r is closed, and that is the error.
func through(ctx context.Context, w io.Writer, r io.ReadCloser, do func() error) error {
	defer context.AfterFunc(ctx, func() { r.Close() })()
	moved := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, r)
		_ = r.Close() // whoever writes sees it
		moved <- err
	}()
	err := do()
	if err != nil {
		_ = r.Close() // the other side may keep its end
	}
	switch failed := <-moved; {
	case err == nil && ctx.Err() != nil && failed != nil:
		return ctx.Err()
	case failed != nil && !errors.Is(failed, fs.ErrClosed) && !errors.Is(failed, io.ErrClosedPipe) && !errors.Is(failed, err):
		return fmt.Errorf("what was copied could not be written: %w", failed)
	default:
		return err
	}
}

// CopyIn unpacks a tar into a directory of the guest's tree, which has to be
// there. The system may run meanwhile, wait, or be paused. Symbolic links are
// made, never followed. Reads of r may go on for one more time after it has
// returned.
func (s *System) CopyIn(ctx context.Context, dir string, r io.Reader, o CopyOptions) error {
	return s.fail("copy", s.copyIn(ctx, dir, r, o))
}

func (s *System) copyIn(ctx context.Context, dir string, r io.Reader, o CopyOptions) error {
	if s.embedded != nil {
		g, err := s.embedded.copying(s)
		if err != nil {
			return err
		}
		pr, w := io.Pipe()
		defer pr.Close()
		go func() {
			_, err := io.Copy(w, r)
			_ = w.CloseWithError(err)
		}()
		_, err = g.System.CopyIn(ctx, dir, pr, archive.Options{Times: o.Times})
		return err
	}
	pr, w, err := os.Pipe()
	if err != nil {
		return err
	}
	broken := make(chan error, 1)
	go func() {
		defer w.Close()
		if _, err := io.Copy(w, onlyReader{r}); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, fs.ErrClosed) {
			broken <- err
		}
	}()
	err = s.copyCall(ctx, control.Call{Op: control.OpCopyIn, Copy: &control.Copy{Path: dir, Times: o.Times}}, pr)
	_ = w.Close() // all that is needed has been read
	select {
	case cause := <-broken:
		return fmt.Errorf("what is to be copied could not be read: %w", cause)
	default:
		return err
	}
}

// onlyReader hides what else a reader can do: io.Copy would have the kernel move
// all that a file has, and not notice when it is enough.
type onlyReader struct{ io.Reader }

// copyCall asks the running system for a copy through f, which it takes over.
func (s *System) copyCall(ctx context.Context, call control.Call, f *os.File) error {
	defer f.Close()
	_, err := s.callWith(ctx, call, f)
	return s.copyError(ctx, err)
}

// StatFile tells what path is in the guest's tree. A symbolic link is followed
// only if a slash comes after it.
func (s *System) StatFile(ctx context.Context, path string) (FileInfo, error) {
	i, err := s.statFile(ctx, path)
	return i, s.fail("stat", err)
}

func (s *System) statFile(ctx context.Context, path string) (FileInfo, error) {
	if s.embedded != nil {
		g, err := s.embedded.copying(s)
		if err != nil {
			return FileInfo{}, err
		}
		i, err := g.System.FileInfo(path)
		return FileInfo{i.Mode, i.Size, i.Time, i.Link}, err
	}
	a, err := s.call(ctx, control.Call{Op: control.OpFileInfo, Copy: &control.Copy{Path: path}})
	if err != nil {
		return FileInfo{}, s.copyError(ctx, err)
	}
	if a.File == nil {
		return FileInfo{}, fault.New(fault.Internal, "the system's answer is not understood")
	}
	return FileInfo{fs.FileMode(a.File.Mode), a.File.Size, time.Unix(0, a.File.Time), a.File.Link}, nil
}

// copyError says of a system that does not run where its files are.
func (s *System) copyError(ctx context.Context, err error) error {
	if err == nil || s.entry.Running() {
		return err
	}
	switch fault.KindOf(err) {
	case fault.AlreadyStopped, fault.WrongState, fault.UnexpectedExit:
	default:
		return err
	}
	name := s.Name()
	p, _ := s.Properties(ctx) // without, it has ended
	switch p.State {
	case StateCreated:
		return fault.Advise(fault.WrongState, errors.New("the system has no files before it is started"), "start it with: stasis start %s", name)
	case StateSaved:
		return fault.Advise(fault.WrongState, errors.New("the system was saved, and its files with it"), "wake it first with: stasis restore %s", name)
	}
	return fault.Advise(fault.AlreadyStopped, errors.New("the system has ended, and its files in memory went with it"),
		"files that outlive it belong in a directory given with -v")
}

// copying returns the guest to copy files of.
func (e *embedded) copying(s *System) (*sandbox.Embedded, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return e.running()
}
