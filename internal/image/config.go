package image

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// Format is what every config has as its format.
	Format = "stasis-image"

	// Version is the version of the images that a [Writer] makes, and the
	// only one that [Open] reads. 0 was a draft.
	Version = 1

	// PageSize is the unit in which memories are stored, in bytes.
	PageSize = 64 << 10
)

// Names of features, in [Config.Requires].
const (
	// FeatureThin says that the modules are not in the image.
	FeatureThin = "thin"

	// FeatureExceptions says that the program has exceptions: its frames may
	// wait in handlers, and the state may hold what was thrown.
	FeatureExceptions = "exceptions"

	// FeatureThreads says that a process has several tasks, or one that waits in
	// an instruction for others.
	FeatureThreads = "threads"

	// FeatureProcesses says that there are several processes, or one that has more to
	// do with signals than their default actions.
	FeatureProcesses = "processes"

	// FeatureParent and FeatureJournal are reserved: this version refuses
	// images that hold only what changed since a parent, or a journal.
	FeatureParent  = "parent"
	FeatureJournal = "journal"
)

// known lists the features that this package understands.
var known = []string{FeatureThin, FeatureExceptions, FeatureThreads, FeatureProcesses}

// Bounds of what an image may hold, looked at before anything is allocated.
const (
	MaxConfigSize = 1 << 20
	MaxStateSize  = 1 << 30
	MaxModuleSize = 1 << 30
	MaxMemorySize = 4 << 30 // all that a 32-bit address reaches

	maxModules  = 256 // each is a file that an open image holds open
	maxMemories = 256 // the same
	maxFiles    = 3 + maxModules + 2*maxMemories
	maxName     = 255 // bytes
)

// A Config is what anyone may read of an image. No path of the machine that
// wrote it, no argument and no variable may be in it: they can be secrets.
//
// The caller of [Writer.Finish] sets what describes the system; Format,
// Version, Memories and Files are the writer's, and Generation is random
// unless set. A reader ignores fields that it does not know: what it must not
// ignore is in Requires.
type Config struct {
	Format     string    `json:"format"`
	Version    int       `json:"version"`
	Generation string    `json:"generation"` // 128 random bits, in hexadecimal: no two images have the same
	Attempt    int64     `json:"attempt"`    // the checkpoint's number in its system, failed ones counted; 0 is not known
	Created    time.Time `json:"created"`    // UTC
	Stasis     string    `json:"stasis"`     // version of the program that wrote it
	Pass       int       `json:"pass"`       // version of the instrumentation that the frames come from
	Requires   []string  `json:"requires"`   // features that a reader has to know
	Parent     *Parent   `json:"parent,omitempty"`

	Modules   []ModuleInfo `json:"modules"`
	Memories  []MemoryInfo `json:"memories"`
	Processes int          `json:"processes"`
	Tasks     int          `json:"tasks,omitempty"` // of all processes, for people; 0 is not known
	Needs     []Need       `json:"needs"`

	Limits map[string]int64    `json:"limits,omitempty"` // of the system that was saved; the restorer's count
	Info   map[string]string   `json:"info,omitempty"`   // for people; nothing depends on it
	Lost   []string            `json:"lost,omitempty"`   // what was closed or left out, for people
	Files  map[string]FileInfo `json:"files"`            // all but digest, config.json and pages-*
}

// A Parent names the image that this one holds the changes since. Reserved.
type Parent struct {
	Generation string `json:"generation"`
	Digest     string `json:"digest"` // its root
}

// A ModuleInfo names a module. The image holds it, unless it is thin.
type ModuleInfo struct {
	Digest string `json:"digest"`         // sha256 of its bytes, in hexadecimal
	Size   int64  `json:"size"`           // bytes
	Name   string `json:"name,omitempty"` // of its file, without the directory; for people
}

// A MemoryInfo describes one linear memory; its place in the list is its index.
type MemoryInfo struct {
	Size     int64  `json:"size"`      // bytes; also the size of its pages file
	PageSize int64  `json:"page_size"` // bytes
	Pages    string `json:"pages"`     // name of its pages file
	PageMap  string `json:"pagemap"`   // name of its page map
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

// Thin reports whether the modules are not in the image.
func (c *Config) Thin() bool { return slices.Contains(c.Requires, FeatureThin) }

// FileNames returns the names of all files of the image, digest and config
// first.
func (c *Config) FileNames() []string {
	names := append([]string{digestFile, configFile}, slices.Sorted(maps.Keys(c.Files))...)
	for _, m := range c.Memories {
		names = append(names, m.Pages)
	}
	return names
}

// Names of files.
const (
	configFile = "config.json"
	digestFile = "digest"
	stateFile  = "state"
)

// StateFile is the name of the state file, for those who make it before the writer
// asks for it.
const StateFile = stateFile

// PagesFile is the name of memory i's pages file, for the same.
func PagesFile(i int) string { return pagesFile(i) }

func moduleFile(digest string) string { return "module-" + digest + ".wasm" }
func pagesFile(i int) string          { return "pages-" + strconv.Itoa(i) }
func pageMapFile(i int) string        { return "pagemap-" + strconv.Itoa(i) }

// maxSize returns the most bytes that the file of an image may have, and
// whether an image may have a file of that name at all.
func maxSize(name string) (size int64, ok bool) {
	switch name {
	case configFile:
		return MaxConfigSize, true
	case digestFile:
		return digestSize, true
	case stateFile:
		return MaxStateSize, true
	}
	if rest, ok := strings.CutPrefix(name, "pages-"); ok {
		return MaxMemorySize, isIndex(rest, maxMemories)
	}
	if rest, ok := strings.CutPrefix(name, "pagemap-"); ok {
		return maxPageMapSize(MaxMemorySize), isIndex(rest, maxMemories)
	}
	rest, ok1 := strings.CutPrefix(name, "module-")
	rest, ok2 := strings.CutSuffix(rest, ".wasm")
	return MaxModuleSize, ok1 && ok2 && isHex(rest, 32)
}

// isIndex reports whether s is a number below limit, written the one way.
func isIndex(s string, limit int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 0 && n < limit && strconv.Itoa(n) == s
}

// DecodeConfig reads and checks a config. One of another version, or that
// requires what this package does not know, is refused by that, whatever else
// it says.
func DecodeConfig(b []byte) (Config, error) {
	if len(b) > MaxConfigSize {
		return Config{}, corruptf(configFile, "%d bytes, at most %d", len(b), MaxConfigSize)
	}
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
	if err := checkKeys(b); err != nil {
		return Config{}, corruptf(configFile, "%v", err)
	}
	var needs struct {
		Requires []string `json:"requires"`
	}
	if err := json.Unmarshal(b, &needs); err != nil {
		return Config{}, corruptf(configFile, "%v", err)
	}
	for _, name := range needs.Requires {
		if !slices.Contains(known, name) {
			return Config{}, &FeatureError{Name: name}
		}
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

// checkKeys refuses objects in which two keys differ in case only, or not at
// all: programs would differ in which of the two they take.
//
// Preconditions: b is valid JSON.
func checkKeys(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		keys map[string]bool // nil in an array
		key  bool            // a key comes next
	}
	var stack []level
	for {
		t, err := d.Token()
		if err != nil {
			return nil // the end
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		switch {
		case t == json.Delim('}') || t == json.Delim(']'):
			stack = stack[:len(stack)-1]
			continue
		case top != nil && top.keys != nil && top.key:
			name, _ := t.(string)
			folded := strings.ToLower(strings.ToUpper(name))
			if top.keys[folded] {
				return fmt.Errorf("key %.40q is there twice", name)
			}
			top.keys[folded], top.key = true, false
			continue
		case top != nil:
			top.key = top.keys != nil
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, level{make(map[string]bool), true})
		case json.Delim('['):
			stack = append(stack, level{})
		}
	}
}

// check holds for what is written and what is read, so that no writer makes
// an image that its reader refuses.
func (c *Config) check() error {
	_, zone := c.Created.Zone()
	switch {
	case !isHex(c.Generation, 16):
		return fmt.Errorf("generation %.40q is not 128 bits in hexadecimal", c.Generation)
	case c.Created.IsZero():
		return fmt.Errorf("no time of creation")
	case zone != 0 || c.Created.Year() < 1 || c.Created.Year() > 9999:
		return fmt.Errorf("created %v: not in UTC, or not in the years 1 to 9999", c.Created)
	case c.Attempt < 0 || c.Pass < 0 || c.Processes < 0 || c.Tasks < 0:
		return fmt.Errorf("attempt %d, pass %d, processes %d, tasks %d: less than 0", c.Attempt, c.Pass, c.Processes, c.Tasks)
	case c.Parent != nil:
		return fmt.Errorf("a parent is named, and %q is not required", FeatureParent)
	case len(c.Modules) > maxModules:
		return fmt.Errorf("%d modules, at most %d", len(c.Modules), maxModules)
	case len(c.Memories) > maxMemories:
		return fmt.Errorf("%d memories, at most %d", len(c.Memories), maxMemories)
	}
	for i, name := range c.Requires {
		if slices.Contains(c.Requires[:i], name) {
			return fmt.Errorf("%.40q is required twice", name)
		}
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
	if err := c.checkFile(seen, stateFile, MaxStateSize); err != nil {
		return err
	}
	for i, m := range c.Modules {
		if err := c.checkModule(seen, m); err != nil {
			return fmt.Errorf("module %d: %w", i, err)
		}
	}
	for i, m := range c.Memories {
		if err := c.checkMemory(seen, i, m); err != nil {
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

func (c *Config) checkFile(seen map[string]bool, name string, limit int64) error {
	f, ok := c.Files[name]
	switch {
	case !ok:
		return fmt.Errorf("no file %s", name)
	case !isHex(f.SHA256, 32):
		return fmt.Errorf("%s: sha256 %.40q is not 256 bits in hexadecimal", name, f.SHA256)
	case f.Size < 0 || f.Size > limit:
		return fmt.Errorf("%s: %d bytes, at most %d", name, f.Size, limit)
	}
	seen[name] = true
	return nil
}

func (c *Config) checkModule(seen map[string]bool, m ModuleInfo) error {
	name := moduleFile(m.Digest)
	switch {
	case !isHex(m.Digest, 32):
		return fmt.Errorf("digest %.40q is not 256 bits in hexadecimal", m.Digest)
	case m.Size < 0 || m.Size > MaxModuleSize:
		return fmt.Errorf("%d bytes, at most %d", m.Size, MaxModuleSize)
	case m.Name != "" && !isBaseName(m.Name):
		return fmt.Errorf("name %.80q is not that of a file without its directory", m.Name)
	case seen[name]:
		return fmt.Errorf("%s: listed twice", m.Digest)
	}
	if c.Thin() {
		seen[name] = true
		if _, ok := c.Files[name]; ok {
			return fmt.Errorf("%s is in the image, and the image is thin", name)
		}
		return nil
	}
	if err := c.checkFile(seen, name, MaxModuleSize); err != nil {
		return err
	}
	if f := c.Files[name]; f.SHA256 != m.Digest || f.Size != m.Size {
		return fmt.Errorf("differs from file %s", name)
	}
	return nil
}

func (c *Config) checkMemory(seen map[string]bool, i int, m MemoryInfo) error {
	switch {
	case m.PageSize != PageSize:
		return fmt.Errorf("page size %d, want %d", m.PageSize, PageSize)
	case m.Size < 0 || m.Size > MaxMemorySize || m.Size%PageSize != 0:
		return fmt.Errorf("%d bytes, want whole pages, at most %d bytes", m.Size, int64(MaxMemorySize))
	case m.Pages != pagesFile(i):
		return fmt.Errorf("pages file %.40q, want %s", m.Pages, pagesFile(i))
	case m.PageMap != pageMapFile(i):
		return fmt.Errorf("page map %.40q, want %s", m.PageMap, pageMapFile(i))
	}
	return c.checkFile(seen, m.PageMap, maxPageMapSize(m.Size))
}

// isBaseName reports whether s can be shown as a file's name: no directories,
// and nothing that a terminal would act on.
func isBaseName(s string) bool {
	return s != "." && s != ".." && len(s) <= maxName &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == '\\' || !unicode.IsPrint(r) })
}

// isHex reports whether s is n bytes in lower-case hexadecimal.
func isHex(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == n && hex.EncodeToString(b) == s
}
