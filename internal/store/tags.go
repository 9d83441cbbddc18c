package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tag gives an image a name, which must be free.
func (s *Store) Tag(name, generation string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return os.Symlink(generation, filepath.Join(s.tags(), name)) // atomic, and refuses a name that is taken
}

// Untag takes a name away.
func (s *Store) Untag(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return os.Remove(filepath.Join(s.tags(), name))
}

// Tags lists the names of images, sorted, by generation.
func (s *Store) Tags() (map[string][]string, error) {
	entries, err := os.ReadDir(s.tags())
	if err != nil {
		return nil, err
	}
	out := make(map[string][]string)
	for _, e := range entries {
		gen, err := os.Readlink(filepath.Join(s.tags(), e.Name()))
		if err == nil && !strings.Contains(gen, "/") {
			out[gen] = append(out[gen], e.Name())
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out, nil
}
