package codecache

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/fault"
)

// sumsName is the file of an entry that has the digests of the others, as
// sha256sum(1) writes them. Only Verify reads it: what comes from a disk that
// lies is damaged, what comes from an enemy has sums that fit.
const sumsName = "SHA256SUMS"

func writeSums(dir string) error {
	b, err := sums(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, sumsName)
	return errors.Join(os.WriteFile(path, b, 0o644), os.Chmod(path, 0o644))
}

// sums reads all files of an entry; WalkDir sorts them.
func sums(dir string) ([]byte, error) {
	var out bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == sumsName || filepath.Dir(path) == dir && isNote(d.Name()) {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", h.Sum(nil), strings.TrimPrefix(path, dir+"/"))
		return nil
	})
	return out.Bytes(), err
}

// Verify reads an entry and compares it with its digests; nobody else may be
// able to write to it. One that has been removed is none that is damaged.
func (c *Cache) Verify(key string) error {
	u, err := c.use(key)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, errInUse): // it goes this moment
		return nil
	case err != nil:
		return corrupt(err)
	}
	defer u.Release()
	err = filepath.WalkDir(u.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Uid != uint32(os.Getuid()) || st.Mode&0o022 != 0 {
			return fmt.Errorf("%s: others can write to it", strings.TrimPrefix(path, c.dir+"/"))
		}
		return nil
	})
	if err != nil {
		return corrupt(err)
	}
	want, err := os.ReadFile(filepath.Join(u.Dir, sumsName))
	if err != nil {
		return corrupt(err)
	}
	got, err := sums(u.Dir)
	if err != nil {
		return corrupt(err)
	}
	if !bytes.Equal(withoutAdded(u.Dir, got), want) {
		return corrupt(errors.New("its files are not what was compiled"))
	}
	return nil
}

func corrupt(err error) error {
	return fault.Advise(fault.Corrupt, err, "remove it with: stasis cache prune --all; it is compiled anew")
}
