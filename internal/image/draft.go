package image

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// A Draft is an image that does not have its name yet: a directory that this
// process makes, and files in it that a [Writer], maybe of another process,
// fills. Publish gives it the name. What it is told of the files' contents it
// does not have to trust. It is safe for use by several goroutines.
type Draft struct {
	fsys FS
	dir  string // the image's name, once it is published

	mu    sync.Mutex
	stage *Stage          // protected by mu
	names map[string]bool // files made; protected by mu
}

// Create begins an image that will be named dir. It fails with [ErrExists] if
// the name is taken, and if the directory that dir is in does not exist or is
// not writable.
func Create(fsys FS, dir string) (*Draft, error) {
	d := &Draft{fsys: fsys, dir: filepath.Clean(dir), names: make(map[string]bool)}
	var err error
	d.stage, err = NewStage(fsys, d.dir)
	if err != nil {
		return nil, d.wrap(err)
	}
	return d, nil
}

// wrap gives an error the image's name.
func (d *Draft) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("image %s: %w", d.dir, err)
}

var errDone = errors.New("already published or aborted")

// File makes a file of the image, empty and open for reading and writing; the
// caller closes it. Names are those that files of an image can have, each once.
// Its errors do not name the image.
func (d *Draft) File(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stage.Done() {
		return nil, errDone
	}
	if _, ok := maxSize(name); !ok {
		return nil, errors.New("an image has no file of this name")
	}
	f, err := d.fsys.Create(d.stage.Path(name))
	if err != nil {
		return nil, cause(err)
	}
	d.names[name] = true
	return f, nil
}

// Publish syncs everything, and gives the image its name. When it returns nil,
// the image is there, lasting, and whole as far as its config tells: all files
// are there and have their sizes. Digests of contents it leaves to readers.
// Otherwise the image is not there, and Publish has done what Abort does, with
// the one exception of [Stage.Publish].
//
// Preconditions: nobody writes to the files any more.
func (d *Draft) Publish() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stage.Done() {
		return d.wrap(errDone)
	}
	err := d.syncFiles()
	if err == nil {
		err = d.stage.Publish()
	}
	if err != nil {
		return errors.Join(d.wrap(err), d.wrap(d.stage.Abort()))
	}
	return nil
}

// syncFiles makes the bytes of all files last, whoever wrote them, and checks
// that they are those that the config names. The config need not be this
// program's work.
func (d *Draft) syncFiles() error {
	for _, name := range []string{digestFile, configFile} {
		if !d.names[name] {
			return corruptf(name, "missing")
		}
	}
	c, _, err := readConfig(d.open)
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
	return nil
}

// open opens a file of the draft.
func (d *Draft) open(name string) (File, error) {
	return openRegular(func(name string) (File, error) { return d.fsys.Open(d.stage.Path(name)) }, name)
}

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

// Abort removes what was made. It does nothing after a Publish that returned
// nil, and may be called again after an error.
func (d *Draft) Abort() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wrap(d.stage.Abort())
}
