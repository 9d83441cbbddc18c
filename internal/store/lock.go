package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

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

// forking is how long a child of a holder may have a lock that it is not meant to
// have: until it has executed its program.
const forking = 20 * time.Millisecond

// lockSoon is tryLock, which it repeats for as long as somebody may have the lock
// by accident.
func lockSoon(f *os.File) error {
	for end := time.Now().Add(forking); ; time.Sleep(time.Millisecond) {
		if err := tryLock(f); !errors.Is(err, ErrRunning) || time.Now().After(end) {
			return err
		}
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
	if err := os.MkdirAll(s.claims(), 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(s.claims(), name)
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := tryLock(f); err != nil {
			f.Close()
			return nil, err
		}
		if isAt(f, path) {
			return f, nil
		}
		f.Close() // swept meanwhile
	}
}

func (s *Store) claims() string { return filepath.Join(s.run, "claims") }

// isAt reports whether the file of that name is f still.
func isAt(f *os.File, path string) bool {
	here, err1 := os.Lstat(path)
	ours, err2 := f.Stat()
	return err1 == nil && err2 == nil && os.SameFile(here, ours)
}

// sweepClaims removes old claims that nobody holds.
func (s *Store) sweepClaims() {
	paths, _ := filepath.Glob(filepath.Join(s.claims(), "*"))
	for _, path := range paths {
		if st, err := os.Lstat(path); err != nil || time.Since(st.ModTime()) < abandoned {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if tryLock(f) == nil && isAt(f, path) {
			_ = os.Remove(path) // or the next one does it
		}
		f.Close()
	}
}
