package codecache

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Use keeps an entry from being removed, by a shared flock(2) on its directory,
// which ends with the process at the latest. Who removes an entry has an exclusive
// one. The process that loads the code needs no lock of its own: its parent has
// this one until it has loaded.
type Use struct {
	Dir  string
	lock *os.File
}

// Release lets the entry be removed. Of nil it does nothing.
func (u *Use) Release() {
	if u != nil {
		u.lock.Close()
	}
}

// errInUse says that somebody loads an entry.
var errInUse = errors.New("it is in use")

// use finds an entry and locks it.
func (c *Cache) use(name string) (*Use, error) {
	dir := filepath.Join(c.dir, name)
	f, err := lock(dir, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	return &Use{dir, f}, nil
}

// lock opens a directory and locks it. Who removes an entry renames it first, so
// that one which still has its name under the lock is whole, and stays.
func lock(dir string, how int) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = errInUse
	case err != nil:
		err = nil // a file system without locks: nobody waits for anybody there
	}
	var now, held unix.Stat_t
	if err == nil {
		err = errors.Join(unix.Fstat(int(f.Fd()), &held), unix.Lstat(dir, &now))
	}
	if err == nil && (now.Ino != held.Ino || now.Dev != held.Dev) {
		err = os.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// remove removes an entry that nobody loads: at once for whoever looks, and then
// its files.
func (c *Cache) remove(name string) error {
	dir := filepath.Join(c.dir, name)
	f, err := lock(dir, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer f.Close()
	gone, err := os.MkdirTemp(c.dir, tempPrefix)
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(dir, filepath.Join(gone, name)), os.RemoveAll(gone))
}
