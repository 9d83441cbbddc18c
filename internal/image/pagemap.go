package image

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
)

const (
	// ChunkPages is how many pages have a digest in common.
	ChunkPages = 16

	// ChunkSize is the memory that an entry of a page map covers, in bytes.
	ChunkSize = ChunkPages * PageSize
)

// A page map is a header and an entry for each chunk of which pages are
// stored, ascending. All numbers are little-endian.
const (
	pageMapMagic   = "stasispm"
	pageMapVersion = 1
	pageMapHeader  = 32 // magic, version u16, 0 u16, entries u32, memory size u64, page size u32, pages per chunk u32
	pageMapEntry   = 40 // index u32, present u16, parent u16, sha256
)

// A Chunk is an entry of a page map: up to 16 pages with a digest in common.
type Chunk struct {
	Index   uint32   // its place in the memory, in chunks
	Present uint16   // the pages that this image stores; bit 0 is the first
	Parent  uint16   // the pages that its parent has
	SHA256  [32]byte // of the present pages, one after another
}

// Pages returns how many pages the image stores of the chunk.
func (c Chunk) Pages() int { return bits.OnesCount16(c.Present) }

// Offset is where the chunk begins in its memory, in bytes.
func (c Chunk) Offset() int64 { return int64(c.Index) * ChunkSize }

// Runs yields the stretches of present pages, as offset in the chunk and
// length in bytes.
func (c Chunk) Runs() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for left := uint32(c.Present); left != 0; {
			first := bits.TrailingZeros32(left)
			count := bits.TrailingZeros32(^(left >> first))
			if !yield(first*PageSize, count*PageSize) {
				return
			}
			left &^= (1<<count - 1) << first
		}
	}
}

// chunksIn returns how many chunks a memory of so many bytes has.
func chunksIn(size int64) int { return int((size + ChunkSize - 1) / ChunkSize) }

// maxPageMapSize bounds the page map of a memory of so many bytes.
func maxPageMapSize(size int64) int64 { return pageMapHeader + pageMapEntry*int64(chunksIn(size)) }

func encodePageMap(size int64, chunks []Chunk) []byte {
	b := make([]byte, 0, pageMapHeader+pageMapEntry*len(chunks))
	b = append(b, pageMapMagic...)
	b = binary.LittleEndian.AppendUint16(b, pageMapVersion)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(chunks)))
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint32(b, PageSize)
	b = binary.LittleEndian.AppendUint32(b, ChunkPages)
	for _, c := range chunks {
		b = binary.LittleEndian.AppendUint32(b, c.Index)
		b = binary.LittleEndian.AppendUint16(b, c.Present)
		b = binary.LittleEndian.AppendUint16(b, c.Parent)
		b = append(b, c.SHA256[:]...)
	}
	return b
}

// DecodePageMap reads the page map of a memory of so many bytes. Each set of
// pages has one encoding. Pages of a parent are refused unless parent is set.
func DecodePageMap(b []byte, size int64, parent bool) ([]Chunk, error) {
	n, err := decodePageMapHeader(b, size)
	if err != nil {
		return nil, err
	}
	chunks := make([]Chunk, 0, n)
	b = b[pageMapHeader:]
	for i := range n {
		c := decodeChunk(b[i*pageMapEntry:])
		if i > 0 && c.Index <= chunks[i-1].Index {
			return nil, fmt.Errorf("entry %d: chunk %d after chunk %d", i, c.Index, chunks[i-1].Index)
		}
		if err := c.check(size, parent); err != nil {
			return nil, fmt.Errorf("entry %d: chunk %d: %w", i, c.Index, err)
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// decodePageMapHeader returns how many entries follow, which is as many as
// there is room for.
func decodePageMapHeader(b []byte, size int64) (entries int, err error) {
	le := binary.LittleEndian
	if len(b) < pageMapHeader {
		return 0, fmt.Errorf("%d bytes, at least %d", len(b), pageMapHeader)
	}
	if string(b[:8]) != pageMapMagic {
		return 0, fmt.Errorf("begins with %q, want %q", b[:8], pageMapMagic)
	}
	n := le.Uint32(b[12:])
	for _, f := range []struct {
		name      string
		got, want uint64
	}{
		{"version", uint64(le.Uint16(b[8:])), pageMapVersion},
		{"reserved field", uint64(le.Uint16(b[10:])), 0},
		{"memory size", le.Uint64(b[16:]), uint64(size)},
		{"page size", uint64(le.Uint32(b[24:])), PageSize},
		{"pages per chunk", uint64(le.Uint32(b[28:])), ChunkPages},
		{"size in bytes", uint64(len(b)), pageMapHeader + pageMapEntry*uint64(n)},
	} {
		if f.got != f.want {
			return 0, fmt.Errorf("%s %d, want %d", f.name, f.got, f.want)
		}
	}
	if int64(n) > int64(chunksIn(size)) {
		return 0, fmt.Errorf("%d entries, the memory has %d chunks", n, chunksIn(size))
	}
	return int(n), nil
}

func decodeChunk(b []byte) Chunk {
	c := Chunk{
		Index:   binary.LittleEndian.Uint32(b),
		Present: binary.LittleEndian.Uint16(b[4:]),
		Parent:  binary.LittleEndian.Uint16(b[6:]),
	}
	copy(c.SHA256[:], b[8:])
	return c
}

func (c Chunk) check(size int64, parent bool) error {
	all := c.Present | c.Parent
	end := c.Offset() + int64(bits.Len16(all))*PageSize
	switch {
	case all == 0:
		return errors.New("has no pages")
	case end > size:
		return fmt.Errorf("pages up to byte %d, in a memory of %d", end, size)
	case c.Present&c.Parent != 0:
		return fmt.Errorf("pages %#04x both here and in the parent", c.Present&c.Parent)
	case c.Parent != 0 && !parent:
		return fmt.Errorf("pages %#04x of a parent, and the image has none", c.Parent)
	case c.Present == 0 && c.SHA256 != sha256.Sum256(nil):
		return errors.New("a digest of no pages")
	}
	return nil
}
