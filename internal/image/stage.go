package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// A Stage is a directory under a temporary name beside the name that it, or a
// file in it, will have: complete or absent. [Clean] removes stages whose
// process has gone.
type Stage struct {
	fsys FS
	name string // the name to be
	temp string // the name until then; "" when done
	lock File   // temp, locked, so that Clean leaves it alone; nil when done
}

// NewStage makes an empty stage for name. It fails with [ErrExists] if name is
// taken, and if the directory that name is in does not exist or is not writable.
func NewStage(fsys FS, name string) (*Stage, error) {
	s := &Stage{fsys: fsys, name: filepath.Clean(name)}
	if isTemp(filepath.Base(s.name)) {
		return nil, errors.New("the name is kept for unfinished checkpoints")
	}
	switch _, err := fsys.Lstat(s.name); {
	case err == nil:
		return nil, ErrExists
	case !errors.Is(err, fs.ErrNotExist):
		return nil, cause(err)
	}
	s.temp = tempName(s.name)
	if err := fsys.Mkdir(s.temp); err != nil {
		return nil, fmt.Errorf("write in %s: %w", filepath.Dir(s.name), cause(err))
	}
	if err := s.lockTemp(); err != nil {
		return nil, errors.Join(err, s.Abort())
	}
	return s, nil
}

// lockTemp takes the lock that Clean respects. A Clean that comes between
// Mkdir and here may have it first, and then removes the directory.
func (s *Stage) lockTemp() error {
	f, err := s.fsys.OpenDir(s.temp)
	if err != nil {
		return fmt.Errorf("lock: %w", cause(err))
	}
	s.lock = f
	ok, err := f.TryLock()
	if err != nil {
		return fmt.Errorf("lock: %w", cause(err))
	}
	if !ok {
		return errors.New("lock: being cleaned away, try again")
	}
	return nil
}

// Done reports whether the stage was published or aborted.
func (s *Stage) Done() bool { return s.temp == "" }

// Path returns where name is in the stage.
//
// Preconditions: the stage is not done.
func (s *Stage) Path(name string) string { return filepath.Join(s.temp, name) }

// Publish gives the stage its name. When it returns nil, the name lasts.
// Otherwise the name is not there, and Abort is due; there is one exception:
// where the name could not be made to last and could not be taken back either,
// it is there, and the error says "rename back".
//
// Preconditions: what is in the stage is synced, directories below it included.
func (s *Stage) Publish() error {
	if err := s.lock.Sync(); err != nil {
		return fmt.Errorf("sync: %w", cause(err))
	}
	if err := s.rename(s.temp); err != nil {
		return err
	}
	s.temp = ""
	s.lock.Close() // releases the lock; nothing is left in it to lose
	s.lock = nil
	return nil
}

// PublishFile is Publish for one file of the stage, which is synced. The rest
// of the stage is left for Abort.
func (s *Stage) PublishFile(file string) error { return s.rename(s.Path(file)) }

// rename gives from, which is synced, the stage's name. If the new name cannot
// be made to last, it is taken back.
func (s *Stage) rename(from string) error {
	err := s.fsys.RenameNew(from, s.name)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists // since NewStage looked
	}
	if err != nil {
		return fmt.Errorf("rename: %w", cause(err))
	}
	parent := filepath.Dir(s.name)
	if err := SyncDir(s.fsys, parent); err != nil {
		err = fmt.Errorf("sync %s: %w", parent, cause(err))
		if back := s.fsys.RenameNew(s.name, from); back != nil {
			return errors.Join(err, fmt.Errorf("rename back: %w", cause(back)))
		}
		return err
	}
	return nil
}

// SyncDir makes the names in a directory last.
func SyncDir(fsys FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		d.Close()
		return err
	}
	return d.Close()
}

// Abort removes what is in the stage. It does nothing after a Publish that
// returned nil, and may be called again after an error.
func (s *Stage) Abort() error {
	if s.Done() {
		return nil
	}
	err := s.fsys.RemoveAll(s.temp)
	if s.lock != nil {
		s.lock.Close() // after the removal, so that Clean does not join in
		s.lock = nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", filepath.Base(s.temp), cause(err))
	}
	s.temp = ""
	return nil
}
