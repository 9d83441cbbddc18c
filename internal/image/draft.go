package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
)

// A Draft is an image that does not have its name yet: a directory that this
// process makes, and files in it that a [Writer], maybe of another process,
// fills. Publish gives it the name. What it is told of the files' contents it
// does not have to trust. File is safe for use by several goroutines.
type Draft struct {
	fsys FS
	dir  string // the image's name, once it is published
	temp string // its name until then; "" when done
	lock File   // temp, locked, so that Clean leaves it alone; nil when done

	mu    sync.Mutex
	names map[string]bool // files made; protected by mu
}

// Create begins an image that will be named dir. It fails with [ErrExists] if
// the name is taken, and if the directory that dir is in does not exist or is
// not writable.
func Create(fsys FS, dir string) (*Draft, error) {
	d := &Draft{fsys: fsys, dir: filepath.Clean(dir), names: make(map[string]bool)}
	if isTemp(filepath.Base(d.dir)) {
		return nil, d.wrap(errors.New("the name is kept for unfinished checkpoints"))
	}
	switch _, err := fsys.Lstat(d.dir); {
	case err == nil:
		return nil, d.wrap(ErrExists)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, d.wrap(cause(err))
	}
	d.temp = tempName(d.dir)
	if err := fsys.Mkdir(d.temp); err != nil {
		return nil, d.wrap(fmt.Errorf("write in %s: %w", filepath.Dir(d.dir), cause(err)))
	}
	if err := d.lockTemp(); err != nil {
		return nil, errors.Join(d.wrap(err), d.Abort())
	}
	return d, nil
}

// lockTemp takes the lock that Clean respects. A Clean that comes between
// Mkdir and here may have it first, and then removes the directory.
func (d *Draft) lockTemp() error {
	f, err := d.fsys.OpenDir(d.temp)
	if err != nil {
		return fmt.Errorf("lock: %w", cause(err))
	}
	d.lock = f
	ok, err := f.TryLock()
	if err != nil {
		return fmt.Errorf("lock: %w", cause(err))
	}
	if !ok {
		return errors.New("lock: being cleaned away, try again")
	}
	return nil
}

// wrap gives an error the image's name.
func (d *Draft) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("image %s: %w", d.dir, err)
}

// File makes a file of the image, empty and open for reading and writing; the
// caller closes it. Names are those that files of an image can have, each once.
// Its errors do not name the image.
func (d *Draft) File(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.temp == "" {
		return nil, errors.New("already published or aborted")
	}
	if _, ok := maxSize(name); !ok {
		return nil, errors.New("an image has no file of this name")
	}
	f, err := d.fsys.Create(filepath.Join(d.temp, name))
	if err != nil {
		return nil, cause(err)
	}
	d.names[name] = true
	return f, nil
}

// Publish syncs everything, and gives the image its name. When it returns nil,
// the image is there, lasting, and whole as far as its config tells: all files
// are there and have their sizes. Digests of contents it leaves to readers.
// Otherwise the image is not there, and Publish has done what Abort does; there
// is one exception: where the name could not be made to last and could not be
// taken back either, the image is there, whole, and the error says "rename
// back".
//
// Preconditions: nobody writes to the files any more.
func (d *Draft) Publish() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.temp == "" {
		return d.wrap(errors.New("already published or aborted"))
	}
	if err := d.publish(); err != nil {
		return errors.Join(d.wrap(err), d.abort())
	}
	d.temp = ""
	d.lock.Close() // releases the lock; nothing is left in it to lose
	d.lock = nil
	return nil
}

func (d *Draft) publish() error {
	c, err := d.config()
	if err != nil {
		return err
	}
	for _, name := range c.FileNames() {
		if !d.names[name] {
			return corruptf(name, "missing")
		}
		if err := d.syncFile(&c, name); err != nil {
			return err
		}
	}
	if len(d.names) != len(c.FileNames()) {
		return fmt.Errorf("%d files, %s has %d", len(d.names), configFile, len(c.FileNames()))
	}
	if err := d.lock.Sync(); err != nil {
		return fmt.Errorf("sync: %w", cause(err))
	}
	return d.rename()
}

// open opens a file of the draft, which may be another one than was made.
func (d *Draft) open(name string) (File, error) {
	return openRegular(func(name string) (File, error) { return d.fsys.Open(filepath.Join(d.temp, name)) }, name)
}

// config reads the config, which need not be this program's work.
func (d *Draft) config() (Config, error) {
	for _, name := range []string{digestFile, configFile} {
		if !d.names[name] {
			return Config{}, corruptf(name, "missing")
		}
	}
	c, _, err := readConfig(d.open)
	return c, err
}

// syncFile makes the bytes of a file last, whoever wrote them, and looks at
// its size.
func (d *Draft) syncFile(c *Config, name string) error {
	f, err := d.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := checkSize(f, c, name); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", name, cause(err))
	}
	return nil
}

// rename gives the synced directory its name. If the new name cannot be made
// to last, it is taken back.
func (d *Draft) rename() error {
	err := d.fsys.RenameNew(d.temp, d.dir)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists // since Create looked
	}
	if err != nil {
		return fmt.Errorf("rename: %w", cause(err))
	}
	parent := filepath.Dir(d.dir)
	if err := syncDir(d.fsys, parent); err != nil {
		err = fmt.Errorf("sync %s: %w", parent, cause(err))
		if back := d.fsys.RenameNew(d.dir, d.temp); back != nil {
			return errors.Join(err, fmt.Errorf("rename back: %w", cause(back)))
		}
		return err
	}
	return nil
}

// syncDir makes the names in a directory last.
func syncDir(fsys FS, dir string) error {
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

// Abort removes what was made. It does nothing after a Publish that returned
// nil, and may be called again after an error.
func (d *Draft) Abort() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.abort()
}

func (d *Draft) abort() error {
	if d.temp == "" {
		return nil
	}
	err := d.fsys.RemoveAll(d.temp)
	if d.lock != nil {
		d.lock.Close() // after the removal, so that Clean does not join in
		d.lock = nil
	}
	if err != nil {
		return d.wrap(fmt.Errorf("remove %s: %w", filepath.Base(d.temp), cause(err)))
	}
	d.temp = ""
	return nil
}
