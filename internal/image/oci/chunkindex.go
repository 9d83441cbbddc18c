package oci

import (
	"encoding/binary"
	"fmt"

	"github.com/stasis-run/stasis/internal/image"
)

// maxFrame bounds the compressed form of a chunk, in bytes.
const maxFrame = image.ChunkSize + image.ChunkSize/64 + 4096

// The index of a pages blob: a header and an entry for each entry of the page
// map that has pages, in its order. All numbers are little-endian.
const (
	indexMagic   = "stasispx"
	indexVersion = 1
	indexHeader  = 16 // magic, version u16, 0 u16, entries u32
	indexEntry   = 48 // chunk u32, length u32, offset u64, sha256 of the frame
)

// A frame is where a chunk is in the pages blob.
type frame struct {
	chunk  uint32 // as in the page map
	length uint32 // bytes, compressed
	offset uint64 // in the blob: frames lie one after another
	sum    [32]byte
}

// maxIndexSize bounds the index for a memory of so many bytes.
func maxIndexSize(size int64) int64 {
	return indexHeader + indexEntry*((size+image.ChunkSize-1)/image.ChunkSize)
}

func encodeFrames(frames []frame) []byte {
	b := make([]byte, 0, indexHeader+indexEntry*len(frames))
	b = append(b, indexMagic...)
	b = binary.LittleEndian.AppendUint16(b, indexVersion)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frames)))
	for _, f := range frames {
		b = binary.LittleEndian.AppendUint32(b, f.chunk)
		b = binary.LittleEndian.AppendUint32(b, f.length)
		b = binary.LittleEndian.AppendUint64(b, f.offset)
		b = append(b, f.sum[:]...)
	}
	return b
}

// decodeFrames reads the index of a pages blob of so many bytes. It has to be
// that of the chunks, all of which have pages, and to cover the blob.
func decodeFrames(b []byte, chunks []image.Chunk, blob int64) ([]frame, error) {
	le := binary.LittleEndian
	if len(b) < indexHeader || string(b[:8]) != indexMagic {
		return nil, fmt.Errorf("%d bytes that do not begin with %q", len(b), indexMagic)
	}
	if v, zero := le.Uint16(b[8:]), le.Uint16(b[10:]); v != indexVersion || zero != 0 {
		return nil, fmt.Errorf("version %d and %d, want %d and 0", v, zero, indexVersion)
	}
	if n := le.Uint32(b[12:]); int64(n) != int64(len(chunks)) || int64(len(b)) != indexHeader+indexEntry*int64(n) {
		return nil, fmt.Errorf("%d entries in %d bytes, the page map has %d", n, len(b), len(chunks))
	}
	frames := make([]frame, 0, len(chunks))
	end := uint64(0)
	for i, c := range chunks {
		e := b[indexHeader+i*indexEntry:]
		f := frame{chunk: le.Uint32(e), length: le.Uint32(e[4:]), offset: le.Uint64(e[8:])}
		copy(f.sum[:], e[16:])
		switch {
		case f.chunk != c.Index:
			return nil, fmt.Errorf("entry %d: chunk %d, the page map has chunk %d", i, f.chunk, c.Index)
		case f.length == 0 || f.length > maxFrame:
			return nil, fmt.Errorf("chunk %d: %d bytes, want 1 to %d", f.chunk, f.length, maxFrame)
		case f.offset != end:
			return nil, fmt.Errorf("chunk %d: at byte %d, the one before ends at %d", f.chunk, f.offset, end)
		}
		end += uint64(f.length) // no overflow: at most 4096 times maxFrame
		frames = append(frames, f)
	}
	if end != uint64(blob) {
		return nil, fmt.Errorf("frames end at byte %d of %d", end, blob)
	}
	return frames, nil
}

// withPages returns the chunks that have pages in this image.
func withPages(all []image.Chunk) []image.Chunk {
	var some []image.Chunk
	for _, c := range all {
		if c.Present != 0 {
			some = append(some, c)
		}
	}
	return some
}
