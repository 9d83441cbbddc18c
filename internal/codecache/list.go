package codecache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// About says what an entry is, for people: nothing depends on it.
type About struct {
	Name   string `json:"name,omitempty"`   // of the module's file, as it was compiled first
	Module string `json:"module,omitempty"` // its digest, in hex
	Pass   int    `json:"pass,omitempty"`   // version of the instrumentation
	Engine string `json:"engine,omitempty"` // version of the engine
}

const (
	aboutName = "ABOUT" // the file of an entry that has its About
	maxAbout  = 64 << 10
)

func (a *About) write(dir string) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, aboutName)
	_ = os.Remove(path) // the compiler is to leave none
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// readAbout reads what it can: an entry may be damaged.
func readAbout(dir string) (a About) {
	f, err := os.OpenFile(filepath.Join(dir, aboutName), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return a
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAbout))
	if err != nil || json.Unmarshal(b, &a) != nil {
		return About{}
	}
	return a
}

// An Entry is what a cache says of an entry.
type Entry struct {
	Key  string    `json:"key"`  // the module's digest, and what decides what is made of it
	Size int64     `json:"size"` // bytes
	Used time.Time `json:"used"`
	About
}

// List lists the entries, those used last first.
func (c *Cache) List() ([]Entry, error) {
	dirs, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	var out []Entry
	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), tempPrefix) || d.Name() == "digests" {
			continue
		}
		st, err := d.Info()
		if err != nil {
			continue // removed meanwhile
		}
		dir := filepath.Join(c.dir, d.Name())
		out = append(out, Entry{Key: d.Name(), Size: size(dir), Used: st.ModTime(), About: readAbout(dir)})
	}
	slices.SortFunc(out, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return out, nil
}

func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what cannot be seen counts for nothing
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
		}
		return nil
	})
	return n
}

// Prune removes entries, those used longest ago first, until the rest has at most
// limit bytes. What is being loaded stays, and so may more than that.
func (c *Cache) Prune(limit int64) (removed []Entry, err error) {
	c.Sweep()
	all, err := c.List()
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, e := range all {
		total += e.Size
	}
	for _, e := range slices.Backward(all) {
		if total <= limit {
			break
		}
		switch err := c.remove(e.Key); {
		case errors.Is(err, errInUse):
			continue
		case errors.Is(err, os.ErrNotExist): // somebody else was faster
		case err != nil:
			return removed, fmt.Errorf("code cache: %w", err)
		default:
			removed = append(removed, e)
		}
		total -= e.Size
	}
	return removed, nil
}
