package image

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

const (
	// Format is what every config has as its format.
	Format = "stasis-image"

	// Version is the version of the images that a [Writer] makes, and the
	// only one that [Open] reads. 0 is a draft: it may change without notice.
	Version = 0

	// PageSize is the unit in which memories are stored, in bytes.
	PageSize = 64 << 10
)

// Bounds of what an image may hold, looked at before anything is allocated.
const (
	maxConfigSize = 1 << 20
	maxStateSize  = 1 << 30
	maxModuleSize = 1 << 30
	maxMemorySize = 4 << 30 // all that a 32-bit address reaches
	maxModules    = 256     // each is a file that an open image holds open
	maxMemories   = 256     // the same
	maxFiles      = 1 + maxModules + 2*maxMemories
)

// A Config is what anyone may read of an image. The caller of
// [Writer.Commit] sets Created, Stasis, Needs and Info; the rest is the
// writer's. ID is random unless set.
type Config struct {
	Format   string              `json:"format"`
	Version  int                 `json:"version"`
	ID       string              `json:"id"` // 128 bits, in hexadecimal
	Created  time.Time           `json:"created"`
	Stasis   string              `json:"stasis"` // version of the program that wrote it
	Modules  []ModuleInfo        `json:"modules"`
	Memories []MemoryInfo        `json:"memories"`
	Needs    []Need              `json:"needs"`
	Info     map[string]string   `json:"info,omitempty"` // for people; nothing depends on it
	Files    map[string]FileInfo `json:"files"`          // all but config.json and digest
}

// A ModuleInfo names a module that the image holds.
type ModuleInfo struct {
	Digest string `json:"digest"` // sha256 of its bytes, in hexadecimal
	Size   int64  `json:"size"`   // bytes
}

// A MemoryInfo describes one linear memory; its place in the list is its index.
type MemoryInfo struct {
	Size     int64  `json:"size"` // bytes
	Pages    string `json:"pages"`
	PageSize int64  `json:"page_size"` // bytes
}

// A Need is something of the host that the saved program held. An image
// grants nothing: whoever restores it must grant each need anew.
type Need struct {
	Kind   NeedKind `json:"kind"`
	Name   string   `json:"name"`
	Detail string   `json:"detail,omitempty"`
}

// A NeedKind is a sort of [Need].
type NeedKind string

// The kinds of needs. An image with another kind is refused: a reader cannot
// grant what it does not know.
const (
	NeedMount    NeedKind = "mount"
	NeedListener NeedKind = "listener"
	NeedStdio    NeedKind = "stdio"
)

// A FileInfo is what the config says of one file of the image.
type FileInfo struct {
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // in hexadecimal
}

func moduleFile(digest string) string { return "module-" + digest + ".wasm" }
func pagesFile(i int) string          { return "pages-" + strconv.Itoa(i) }
func pageMapFile(i int) string        { return "pagemap-" + strconv.Itoa(i) }

// decodeConfig reads and checks a config. An image of a later version is
// refused by its number, whatever else it says.
func decodeConfig(b []byte) (Config, error) {
	var head struct {
		Format  string `json:"format"`
		Version *int   `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Config{}, corruptf(configFile, "%v", err)
	}
	if head.Format != Format {
		return Config{}, corruptf(configFile, "format %.40q, want %q", head.Format, Format)
	}
	if head.Version == nil {
		return Config{}, corruptf(configFile, "no version")
	}
	if *head.Version != Version {
		return Config{}, &VersionError{Got: *head.Version, Oldest: Version, Newest: Version}
	}
	var c Config // fields that we do not know are ignored
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, corruptf(configFile, "%v", err)
	}
	if err := c.check(); err != nil {
		return Config{}, corruptf(configFile, "%v", err)
	}
	return c, nil
}

// check holds for what is written and what is read, so that no writer makes
// an image that its reader refuses.
func (c *Config) check() error {
	switch {
	case !isHex(c.ID, 16):
		return fmt.Errorf("id %.40q is not 128 bits in hexadecimal", c.ID)
	case c.Created.IsZero():
		return fmt.Errorf("no time of creation")
	case len(c.Modules) > maxModules:
		return fmt.Errorf("%d modules, at most %d", len(c.Modules), maxModules)
	case len(c.Memories) > maxMemories:
		return fmt.Errorf("%d memories, at most %d", len(c.Memories), maxMemories)
	}
	for i, n := range c.Needs {
		switch n.Kind {
		case NeedMount, NeedListener, NeedStdio:
		default:
			return fmt.Errorf("need %d: unknown kind %.40q", i, n.Kind)
		}
	}
	return c.checkFiles()
}

// checkFiles looks at each file that modules and memories ask for, and that
// there is no other.
func (c *Config) checkFiles() error {
	seen := make(map[string]bool)
	check := func(name string, limit int64) (FileInfo, error) {
		f, ok := c.Files[name]
		switch {
		case !ok:
			return f, fmt.Errorf("no file %s", name)
		case seen[name]:
			return f, fmt.Errorf("%s: listed twice", name)
		case !isHex(f.SHA256, 32):
			return f, fmt.Errorf("%s: sha256 %.40q is not 256 bits in hexadecimal", name, f.SHA256)
		case f.Size < 0 || f.Size > limit:
			return f, fmt.Errorf("%s: %d bytes, at most %d", name, f.Size, limit)
		}
		seen[name] = true
		return f, nil
	}
	if _, err := check(stateFile, maxStateSize); err != nil {
		return err
	}
	for i, m := range c.Modules {
		if !isHex(m.Digest, 32) {
			return fmt.Errorf("module %d: digest %.40q is not 256 bits in hexadecimal", i, m.Digest)
		}
		name := moduleFile(m.Digest)
		f, err := check(name, maxModuleSize)
		if err != nil {
			return err
		}
		if f.SHA256 != m.Digest || f.Size != m.Size {
			return fmt.Errorf("module %d: differs from file %s", i, name)
		}
	}
	for i, m := range c.Memories {
		if err := m.check(i, check); err != nil {
			return fmt.Errorf("memory %d: %w", i, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		if !seen[name] {
			return fmt.Errorf("file %.80q belongs to nothing", name)
		}
	}
	return nil
}

func (m MemoryInfo) check(i int, file func(name string, limit int64) (FileInfo, error)) error {
	switch {
	case m.PageSize != PageSize:
		return fmt.Errorf("page size %d, want %d", m.PageSize, PageSize)
	case m.Size < 0 || m.Size > maxMemorySize || m.Size%PageSize != 0:
		return fmt.Errorf("%d bytes, want whole pages, at most %d bytes", m.Size, int64(maxMemorySize))
	case m.Pages != pagesFile(i):
		return fmt.Errorf("pages file %.40q, want %s", m.Pages, pagesFile(i))
	}
	f, err := file(m.Pages, m.Size)
	if err != nil {
		return err
	}
	if f.Size%PageSize != 0 {
		return fmt.Errorf("%s: %d bytes, want whole pages", m.Pages, f.Size)
	}
	_, err = file(pageMapFile(i), int64(maxPageMapSize(int(m.Size/PageSize))))
	return err
}

// isHex reports whether s is n bytes in lower-case hexadecimal.
func isHex(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == n && hex.EncodeToString(b) == s
}
