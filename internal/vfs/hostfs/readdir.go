package hostfs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A listing gives the entries of a directory numbers that stay theirs while it
// is open, and across a restore, which the host's own cookies do not: they
// differ between file systems, and some change when the directory does. So a
// listing is read whole when it is begun, and a name keeps its number through
// later ones.
type listing struct {
	entries []listed          // by number, rising
	byName  map[string]uint64 // the same
	last    uint64            // the highest number given so far
	saved   map[string]uint64 // byName of before a restore, until the first update
}

// A listed is one entry.
type listed struct {
	Num  uint64
	Name string
	ino  uint64
	typ  uint8 // DT_…
}

// cookies are the numbers that are in use.
func (l *listing) cookies() []CookieState {
	names := l.byName
	if names == nil {
		names = l.saved
	}
	var out []CookieState
	for name, n := range names {
		out = append(out, CookieState{name, n})
	}
	slices.SortFunc(out, func(a, b CookieState) int { return cmp.Compare(a.Num, b.Num) })
	return out
}

// update makes l list what is in the directory h now.
func (l *listing) update(h *handle) error {
	found, err := readNames(h)
	if err != nil {
		return err
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	was := l.byName
	if was == nil {
		was = l.saved
	}
	l.byName = make(map[string]uint64, len(found))
	for i := range found {
		e := &found[i]
		e.Num = was[e.Name]
		if e.Num == 0 {
			l.last++
			e.Num = l.last
		}
		l.byName[e.Name] = e.Num
	}
	slices.SortFunc(found, func(a, b listed) int {
		if a.Num < b.Num {
			return -1
		}
		return 1
	})
	l.entries = found
	return nil
}

// after returns the entries with numbers above n.
func (l *listing) after(n uint64) []listed {
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Num > n })
	return l.entries[i:]
}

// readNames reads the directory. Names that are not UTF-8 are left out: WASI
// has no way to say them, so the guest could not use them.
func readNames(h *handle) ([]listed, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(h.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var all []listed
	seen := make(map[string]bool)
	buf := make([]byte, 32<<10)
	for {
		n, err := retry(func() (int, error) { return unix.Getdents(fd, buf) })
		if err == unix.ENOENT {
			return nil, nil // it was removed: nothing is in it
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return all, nil
		}
		for _, e := range parseDirents(buf[:n]) {
			if e.Name == "." || e.Name == ".." || !utf8.ValidString(e.Name) || seen[e.Name] {
				continue
			}
			seen[e.Name] = true
			all = append(all, e)
		}
	}
}

// parseDirents takes struct linux_dirent64 apart: ino u64, off u64, reclen u16,
// type u8, name up to a NUL.
func parseDirents(b []byte) []listed {
	const header = 19
	var es []listed
	for len(b) >= header {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size < header || size > len(b) {
			break
		}
		name, _, _ := bytes.Cut(b[header:size], []byte{0})
		es = append(es, listed{
			Name: string(name),
			ino:  binary.NativeEndian.Uint64(b),
			typ:  b[18],
		})
		b = b[size:]
	}
	return es
}
