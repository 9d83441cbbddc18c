package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Locks are open file description locks (fcntl(2), F_OFD_SETLK): inherited by a
// process that the descriptor is passed to, gone with the last who has it, and
// looked at without being taken, so that to look never stands in anybody's way.

// tryLock locks f, or fails with ErrRunning.
func tryLock(f *os.File) error {
	for {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			return ErrRunning
		case err != nil:
			return fmt.Errorf("lock: %w", err)
		}
		return nil
	}
}

// isFree reports whether nobody holds the lock of f. Of f itself it does not
// tell.
func isFree(f *os.File) (bool, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("lock: %w", err)
	}
	return l.Type == unix.F_UNLCK, nil
}

// Claim takes a lock of its own, by name, which lasts as long as somebody holds
// the file. It fails with ErrRunning if somebody does.
func (s *Store) Claim(name string) (*os.File, error) {
	dir := filepath.Join(s.run, "claims")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
