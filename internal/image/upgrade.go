package image

import (
	"errors"
	"fmt"
	"path/filepath"
)

// ErrNewest says that there is nothing to upgrade.
var ErrNewest = errors.New("is of the newest version")

// Upgrade rewrites the image dir, of an older version, as the image to, of the
// newest, and leaves dir as it is. There is no older version so far: a draft is
// refused with a [VersionError], anything else that is intact with [ErrNewest].
func Upgrade(fsys FS, dir, to string) error {
	c, err := OpenConfig(fsys, dir)
	if err != nil {
		return err
	}
	return fmt.Errorf("image %s: version %d %w", filepath.Clean(dir), c.Version, ErrNewest)
}
