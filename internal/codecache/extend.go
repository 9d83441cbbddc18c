package codecache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// More code of a module is added to its entry when it turns out what will be
// needed: new files only, made aside as an entry is, from that module alone.
// What is there already stays as it is, whoever reads it meanwhile.
//
//	CODE/KEY/AHEAD       notes of what was made, a line each
//	CODE/KEY/AHEAD.SUMS  digests of the files that were added, noted before they are

const (
	aheadName     = "AHEAD"
	aheadSumsName = "AHEAD.SUMS"

	maxAheadFiles = 1024 // that are added to an entry in all
	maxAheadNotes = 8192 // lines
	maxAddedFiles = 256  // at once, with directories
)

// ErrFull says that an entry takes no more.
var ErrFull = errors.New("nothing more is added to the entry")

// Extend adds to an entry that the caller uses what fill makes in an empty directory,
// and notes what fill returns, lines without line ends, for Notes. Files that the entry has stay as they are. If another
// Extend is under way, it does nothing.
func (c *Cache) Extend(ctx context.Context, u *Use, fill func(ctx context.Context, dir string) (notes []string, err error)) error {
	l, err := lockNotes(u.Dir, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("code cache: %w", err)
	}
	defer l.Close()
	if len(readLines(filepath.Join(u.Dir, aheadSumsName))) >= maxAheadFiles || len(u.Notes()) >= maxAheadNotes {
		return fmt.Errorf("code cache: %w", ErrFull)
	}
	tmp, err := c.aside()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	notes, err := fill(ctx, tmp)
	if err != nil {
		return err
	}
	if err := check(tmp, maxAddedFiles); err != nil {
		return fmt.Errorf("code cache: %w", err)
	}
	if err := add(u.Dir, tmp); err != nil {
		return fmt.Errorf("code cache: %w", err)
	}
	if err := appendLines(filepath.Join(u.Dir, aheadName), tmp, notes); err != nil {
		return fmt.Errorf("code cache: %w", err)
	}
	if c.limit > 0 {
		_, _ = c.Prune(c.limit) // it is too large for a while, then
	}
	return nil
}

// Notes are what was noted when the entry was extended.
func (u *Use) Notes() []string { return readLines(filepath.Join(u.Dir, aheadName)) }

// lockNotes waits for, or with LOCK_NB asks for, the lock under which an entry is
// added to: a file that is never made anew.
func lockNotes(dir string, how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, aboutName), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, err
	} // else a file system without locks: nobody waits for anybody there
	return f, nil
}

// add moves the files in tmp that dir has not, and whose directories it has, to dir.
func add(dir, tmp string) error {
	var names, sums []string
	err := filepath.WalkDir(tmp, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, tmp+"/")
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if _, err := os.Lstat(filepath.Dir(filepath.Join(dir, name))); err != nil || !strings.Contains(name, "/") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		names = append(names, name)
		sums = append(sums, fmt.Sprintf("%x  %s", sha256.Sum256(b), name))
		return nil
	})
	if err != nil {
		return err
	}
	if err := appendLines(filepath.Join(dir, aheadSumsName), tmp, sums); err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(tmp, name), unix.AT_FDCWD, filepath.Join(dir, name), unix.RENAME_NOREPLACE)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// appendLines makes a file anew with lines added at its end, in tmp first.
func appendLines(path, tmp string, lines []string) error {
	all := readLines(path)
	for _, l := range lines {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	f, err := os.CreateTemp(tmp, "lines-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(append(all, ""), "\n"))
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// readLines reads what it can: there may be none.
func readLines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// isNote reports whether a file of an entry is of those that Extend keeps.
func isNote(name string) bool {
	return name == aheadName || name == aheadSumsName
}

// withoutAdded takes the lines of files that were added out of the digests of an
// entry: those that are as they were noted.
func withoutAdded(dir string, got []byte) []byte {
	added := make(map[string]bool)
	for _, l := range readLines(filepath.Join(dir, aheadSumsName)) {
		added[l] = true
	}
	var out bytes.Buffer
	for l := range bytes.Lines(got) {
		if !added[strings.TrimSuffix(string(l), "\n")] {
			out.Write(l)
		}
	}
	return out.Bytes()
}
