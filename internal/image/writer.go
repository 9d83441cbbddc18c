package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
)

// A Writer writes the files of one image. Each part is given once, in any
// order; then Finish completes them. It makes no file itself: create does,
// which is [Draft.File], or asks the process that has the draft.
//
// Module, Memory and State only write, so that they can be called while a guest
// is stopped; all digests are computed by Finish, of what the files hold. After
// an error, only Close is of use. It is not safe for use by several goroutines.
type Writer struct {
	create func(name string) (File, error)

	parts    []*part
	state    bool
	modules  []ModuleInfo
	memories map[int]*writtenMemory
	stats    WriterStats

	err error // the first that a part ran into; Finish repeats it
}

// A part is a file that is being written.
type part struct {
	name string
	file File // nil when closed
	size int64
	sum  string // sha256 in hexadecimal; "" is not known yet
}

// A writtenMemory is one whose pages are in their file.
type writtenMemory struct {
	MemoryInfo
	pages   *part
	present []uint16 // by chunk
}

// WriterStats says what a [Writer] wrote.
type WriterStats struct {
	PagesScanned int64 `json:"pages_scanned"`
	PagesWritten int64 `json:"pages_written"`
	BytesWritten int64 `json:"bytes_written"` // of all files
}

// NewWriter returns a Writer whose files create makes: new and empty ones.
func NewWriter(create func(name string) (File, error)) *Writer {
	return &Writer{create: create, memories: make(map[int]*writtenMemory)}
}

// Stats returns what was written so far.
func (w *Writer) Stats() WriterStats { return w.stats }

// note remembers the first error, for Finish.
func (w *Writer) note(err error) error {
	if w.err == nil {
		w.err = err
	}
	return err
}

// begin makes a file of the image.
func (w *Writer) begin(name string) (*part, error) {
	f, err := w.create(name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, cause(err))
	}
	p := &part{name: name, file: f}
	w.parts = append(w.parts, p)
	return p, nil
}

// put writes a whole file of the image.
func (w *Writer) put(name string, b []byte) (*part, error) {
	p, err := w.begin(name)
	if err != nil {
		return nil, err
	}
	p.size = int64(len(b))
	w.stats.BytesWritten += p.size
	return p, p.write(b, 0)
}

func (p *part) write(b []byte, off int64) error {
	n, err := p.file.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", p.name, cause(err))
	}
	return nil
}

// Module stores a module. One that is stored already is not stored again.
func (w *Writer) Module(digest [32]byte, b []byte) error {
	sum := hex.EncodeToString(digest[:])
	if slices.ContainsFunc(w.modules, func(m ModuleInfo) bool { return m.Digest == sum }) {
		return nil
	}
	name := moduleFile(sum)
	if len(b) > MaxModuleSize {
		return w.note(fmt.Errorf("%s: %d bytes, at most %d", name, len(b), MaxModuleSize))
	}
	w.modules = append(w.modules, ModuleInfo{Digest: sum, Size: int64(len(b))})
	_, err := w.put(name, b)
	return w.note(err)
}

// State stores the state file.
func (w *Writer) State(b []byte) error {
	switch {
	case w.state:
		return w.note(fmt.Errorf("%s: given twice", stateFile))
	case len(b) > MaxStateSize:
		return w.note(fmt.Errorf("%s: %d bytes, at most %d", stateFile, len(b), MaxStateSize))
	}
	w.state = true
	_, err := w.put(stateFile, b)
	return w.note(err)
}

// Memory stores memory i. Pages that are all zero are left out; the others are
// written from where they are, to the same addresses of the file, with no copy
// made.
//
// Preconditions: nothing writes to mem until Memory has returned.
func (w *Writer) Memory(i int, mem []byte) error {
	if err := w.memory(i, mem); err != nil {
		return w.note(fmt.Errorf("memory %d: %w", i, err))
	}
	return nil
}

func (w *Writer) memory(i int, mem []byte) error {
	if w.memories[i] != nil || i < 0 || i >= maxMemories {
		return fmt.Errorf("given twice, or not in 0 to %d", maxMemories-1)
	}
	m := &writtenMemory{MemoryInfo: MemoryInfo{
		Size: int64(len(mem)), PageSize: PageSize, Pages: pagesFile(i), PageMap: pageMapFile(i),
	}}
	if m.Size%PageSize != 0 || m.Size > MaxMemorySize {
		return fmt.Errorf("%d bytes, want whole pages of %d, at most %d bytes", m.Size, PageSize, int64(MaxMemorySize))
	}
	p, err := w.begin(m.Pages)
	if err != nil {
		return err
	}
	if err := p.file.Truncate(m.Size); err != nil {
		return fmt.Errorf("truncate %s: %w", p.name, cause(err))
	}
	p.size, m.pages, m.present = m.Size, p, make([]uint16, chunksIn(m.Size))
	w.memories[i] = m
	var written atomic.Int64
	segments := int((m.Size + segmentSize - 1) / segmentSize)
	err = parallel(segments, func(_, s int) error {
		n, err := m.writeSegment(mem, s*segmentSize)
		written.Add(int64(n))
		return err
	})
	w.stats.PagesScanned += m.Size / PageSize
	w.stats.PagesWritten += written.Load()
	w.stats.BytesWritten += written.Load() * PageSize
	return err
}

// segmentSize is how much of a memory one goroutine looks at before it turns
// to another part of it, and at most writes at a time: whole chunks, in bytes.
const segmentSize = 4 * ChunkSize

// writeSegment writes the pages from off on that are not zero, each stretch of
// them at a time, and returns how many they were.
func (m *writtenMemory) writeSegment(mem []byte, off int) (pages int, err error) {
	end := min(off+segmentSize, len(mem))
	for off < end {
		start := off
		for off < end && !isZero(mem[off:off+PageSize]) {
			m.present[off/ChunkSize] |= 1 << (off % ChunkSize / PageSize)
			off += PageSize
		}
		if off == start {
			off += PageSize
			continue
		}
		if err := m.pages.write(mem[start:off], int64(start)); err != nil {
			return pages, err
		}
		pages += (off - start) / PageSize
	}
	return pages, nil
}

// zeros is short, so that it stays in the first cache while a page is compared
// with it; bytes.Equal uses the widest registers there are.
var zeros [4 << 10]byte

// isZero reports whether b, whole multiples of zeros, is all zero.
func isZero(b []byte) bool {
	for ; len(b) > 0; b = b[len(zeros):] {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
	}
	return true
}

// Finish computes the digests, writes page maps, config and, last, the root,
// closes the files, and returns the config as it is in the image. It syncs
// nothing: [Draft.Publish] does.
//
// For a thin image, c requires [FeatureThin] and lists the modules, and Module
// was not called. For others, entries of c.Modules only lend their names.
func (w *Writer) Finish(c Config) (Config, error) {
	defer w.Close()
	if w.err != nil {
		return Config{}, w.err
	}
	c, err := w.finish(c)
	return c, w.note(err)
}

func (w *Writer) finish(c Config) (Config, error) {
	if !w.state {
		return Config{}, errors.New("finish: no state")
	}
	for i := range len(w.memories) {
		m := w.memories[i]
		if m == nil {
			return Config{}, errors.New("finish: no memory " + strconv.Itoa(i))
		}
		if err := w.putPageMap(m); err != nil {
			return Config{}, fmt.Errorf("memory %d: %w", i, err)
		}
	}
	if err := w.sumParts(); err != nil {
		return Config{}, err
	}
	c = w.complete(c)
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", configFile, err)
	}
	if err := w.putConfig(&c); err != nil {
		return Config{}, err
	}
	return c, w.closeParts()
}

// putPageMap reads back what the pages file holds, by chunk.
func (w *Writer) putPageMap(m *writtenMemory) error {
	var chunks []Chunk
	for i, present := range m.present {
		if present != 0 {
			chunks = append(chunks, Chunk{Index: uint32(i), Present: present})
		}
	}
	bufs := make([][]byte, maxWorkers)
	err := parallel(len(chunks), func(worker, i int) error {
		if bufs[worker] == nil {
			bufs[worker] = make([]byte, ChunkSize)
		}
		sum, err := readChunk(m.pages.file, m.Pages, chunks[i], bufs[worker])
		chunks[i].SHA256 = sum
		return err
	})
	if err != nil {
		return err
	}
	b := encodePageMap(m.Size, chunks)
	p, err := w.put(m.PageMap, b)
	if err != nil {
		return err
	}
	p.sum = hexSum(b)
	return nil
}

// sumParts reads back the files whose digest is not known yet.
func (w *Writer) sumParts() error {
	return parallel(len(w.parts), func(_, i int) error {
		p := w.parts[i]
		if p.sum != "" || w.isPages(p) {
			return nil
		}
		var err error
		p.sum, err = sumFile(p.file, p.name, p.size)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(w.modules, func(m ModuleInfo) bool { return moduleFile(m.Digest) == p.name }); i >= 0 && w.modules[i].Digest != p.sum {
			return fmt.Errorf("%s: sha256 %s, want %s", p.name, short(p.sum), short(w.modules[i].Digest))
		}
		return nil
	})
}

// isPages reports whether p hangs from its page map, and not from the config.
func (w *Writer) isPages(p *part) bool {
	for _, m := range w.memories {
		if m.pages == p {
			return true
		}
	}
	return false
}

// complete adds to c what was written.
func (w *Writer) complete(c Config) Config {
	c.Format, c.Version = Format, Version
	c.Created = c.Created.UTC()
	if c.Generation == "" {
		c.Generation = randomHex(16)
	}
	c.Requires = append([]string{}, c.Requires...) // [] in JSON, never null
	c.Needs = append([]Need{}, c.Needs...)
	if c.Thin() {
		c.Modules = slices.Concat([]ModuleInfo{}, w.modules, c.Modules)
	} else {
		c.Modules = w.named(c.Modules)
	}
	c.Memories = []MemoryInfo{}
	for i := range len(w.memories) {
		c.Memories = append(c.Memories, w.memories[i].MemoryInfo)
	}
	c.Files = make(map[string]FileInfo)
	for _, p := range w.parts {
		if !w.isPages(p) {
			c.Files[p.name] = FileInfo{Size: p.size, SHA256: p.sum}
		}
	}
	return c
}

// named returns the modules that were written, with the names that others
// have for them.
func (w *Writer) named(others []ModuleInfo) []ModuleInfo {
	all := append([]ModuleInfo{}, w.modules...)
	for i := range all {
		for _, o := range others {
			if o.Digest == all[i].Digest {
				all[i].Name = o.Name
			}
		}
	}
	return all
}

// putConfig writes the config and the root, the two last files.
func (w *Writer) putConfig(c *Config) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	b = append(b, '\n')
	if _, err := DecodeConfig(b); err != nil { // what no reader would take
		return err
	}
	if _, err := w.put(configFile, b); err != nil {
		return err
	}
	_, err = w.put(digestFile, []byte(hexSum(b)+"\n"))
	return err
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// closeParts closes all files; some file systems report lost writes only then.
func (w *Writer) closeParts() error {
	var first error
	for _, p := range w.parts {
		if p.file == nil {
			continue
		}
		if err := p.file.Close(); err != nil && first == nil {
			first = fmt.Errorf("close %s: %w", p.name, cause(err))
		}
		p.file = nil
	}
	return first
}

// Close closes the files of a Writer that will not be finished. It may be
// called again, and after Finish.
func (w *Writer) Close() {
	w.note(errors.New("finish: already finished or closed"))
	w.closeParts()
}
