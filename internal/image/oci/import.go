package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/stasis-run/stasis/internal/image"
)

// ImportOptions describe an import. The zero value works.
type ImportOptions struct {
	// Tag chooses one of several images in a layout; "" is the only one.
	Tag string

	// Progress is told, after each step, how many bytes of the image are
	// done, of how many. It is called by one goroutine at a time.
	Progress func(done, total int64)

	// MaxTar bounds what ImportTar unpacks, in bytes; 0 is 16 GiB.
	MaxTar int64
}

// Import makes the image dst of a layout: a directory, or a file that is a tar
// of one. Every byte is verified; dst is complete or absent, and has the root
// that the manifest has as its config.
func Import(ctx context.Context, fsys image.FS, src, dst string, o ImportOptions) (image.Config, error) {
	c, err := importFrom(ctx, fsys, src, dst, o)
	if err != nil {
		return image.Config{}, fmt.Errorf("import %s: %w", src, err)
	}
	return c, nil
}

func importFrom(ctx context.Context, fsys image.FS, src, dst string, o ImportOptions) (image.Config, error) {
	st, err := fsys.Lstat(src)
	if err != nil {
		return image.Config{}, failed("look at", "it", err)
	}
	if st.IsDir() {
		s, err := newDirSource(fsys, src)
		if err != nil {
			return image.Config{}, err
		}
		return importLayout(ctx, fsys, layout{s}, dst, o)
	}
	if !st.Mode().IsRegular() {
		return image.Config{}, errors.New("neither a directory nor a regular file")
	}
	f, err := fsys.Open(src)
	if err != nil {
		return image.Config{}, failed("open", "it", err)
	}
	defer f.Close()
	s, err := newTarSource(f, st.Size())
	if err != nil {
		return image.Config{}, err
	}
	return importLayout(ctx, fsys, layout{s}, dst, o)
}

// ImportTar makes the image dst of the tar of a layout. It unpacks the tar
// beside dst first, since what names the blobs may come after them.
func ImportTar(ctx context.Context, fsys image.FS, r io.Reader, dst string, o ImportOptions) (image.Config, error) {
	if o.MaxTar == 0 {
		o.MaxTar = 16 << 30
	}
	stage, err := image.NewStage(fsys, dst)
	if err != nil {
		return image.Config{}, fmt.Errorf("import to %s: %w", dst, err)
	}
	var c image.Config
	dir := stage.Path(".")
	err = unpack(fsys, &ctxReader{ctx, r}, dir, o.MaxTar)
	if err == nil {
		c, err = importLayout(ctx, fsys, layout{&dirSource{fsys, dir}}, dst, o)
	}
	if e := stage.Abort(); err == nil && e != nil {
		err = fmt.Errorf("the image is there, but: %w", e)
	} else {
		err = errors.Join(err, e)
	}
	if err != nil {
		return image.Config{}, fmt.Errorf("import to %s: %w", dst, err)
	}
	return c, nil
}

// A ctxReader fails once its context is done.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// importLayout makes the image dst.
func importLayout(ctx context.Context, fsys image.FS, l layout, dst string, o ImportOptions) (image.Config, error) {
	m, err := l.manifest(o.Tag)
	if err != nil {
		return image.Config{}, err
	}
	js, err := l.bytes(m.Config, image.MaxConfigSize)
	if err != nil {
		return image.Config{}, fmt.Errorf("config: %w", err)
	}
	c, err := image.DecodeConfig(js)
	if err != nil {
		return image.Config{}, err
	}
	layers, err := m.match(&c)
	if err != nil {
		return image.Config{}, err
	}
	draft, err := image.Create(fsys, dst)
	if err != nil {
		return image.Config{}, err
	}
	im := &importer{ctx: ctx, c: &c, layout: l, layers: layers, draft: draft, o: o}
	if err := im.all(js); err != nil {
		return image.Config{}, errors.Join(err, draft.Abort())
	}
	return c, draft.Publish()
}

// An importer fills a draft.
type importer struct {
	ctx    context.Context
	c      *image.Config
	layout layout
	layers map[string]descriptor // by title
	draft  *image.Draft
	o      ImportOptions

	chunks      [][]image.Chunk // by memory
	done, total int64           // bytes
}

func (im *importer) progress(n int64) {
	im.done += n
	if im.o.Progress != nil {
		im.o.Progress(im.done, im.total)
	}
}

// all writes all files; config and root go last.
func (im *importer) all(js []byte) error {
	pages := 0
	for _, m := range im.c.Memories {
		chunks, err := im.pageMap(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.PageMap, err)
		}
		im.chunks = append(im.chunks, chunks)
		for _, c := range chunks {
			pages += c.Pages()
		}
	}
	im.total = total(im.c, int64(pages))
	for _, name := range slices.Sorted(maps.Keys(im.c.Files)) {
		if err := im.file(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for i, m := range im.c.Memories {
		if err := im.memory(m, withPages(im.chunks[i])); err != nil {
			return fmt.Errorf("%s: %w", m.Pages, err)
		}
	}
	err := im.create("config.json", func(w *fileWriter) error {
		_, err := w.Write(js)
		return err
	})
	if err != nil {
		return err
	}
	return im.create("digest", func(w *fileWriter) error {
		_, err := io.WriteString(w, hexSum(js)+"\n")
		return err
	})
}

// create makes a file of the draft, of what write writes.
func (im *importer) create(name string, write func(w *fileWriter) error) error {
	f, err := im.draft.File(name)
	if err != nil {
		return failed("create", name, err)
	}
	err = write(&fileWriter{f: f, name: name, hash: sha256.New()})
	if e := f.Close(); err == nil {
		err = failed("close", name, e)
	}
	return err
}

// newDecoder makes a decoder whose memory is bounded. With a nil reader it is
// for DecodeAll, which then fills no more than the capacity it is given.
func newDecoder(r io.Reader, concurrency int) (*zstd.Decoder, error) {
	return zstd.NewReader(r,
		zstd.WithDecoderConcurrency(concurrency), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(image.MaxMemorySize))
}

// pageMap returns the page map of a memory, which file writes later.
func (im *importer) pageMap(m image.MemoryInfo) ([]image.Chunk, error) {
	var buf bytes.Buffer
	if err := im.decompress(m.PageMap, &buf); err != nil {
		return nil, err
	}
	chunks, err := image.DecodePageMap(buf.Bytes(), m.Size, im.c.Parent != nil)
	if err != nil {
		return nil, corruptf(m.PageMap, "%v", err)
	}
	return chunks, nil
}

// file writes a file that the config lists.
func (im *importer) file(name string) error {
	return im.create(name, func(w *fileWriter) error {
		if err := im.decompress(name, w); err != nil {
			return err
		}
		im.progress(w.off)
		return nil
	})
}

// decompress writes a file that the config lists to w. Blob and file are
// verified, the file after its bytes were written.
func (im *importer) decompress(name string, w io.Writer) error {
	d, want := im.layers[name+".zst"], im.c.Files[name]
	s, err := im.layout.blob(d, maxCompressed(want.Size))
	if err != nil {
		return err
	}
	defer s.Close()
	blob, file := sha256.New(), sha256.New()
	in := io.TeeReader(&ctxReader{im.ctx, io.NewSectionReader(s, 0, d.Size)}, blob)
	if err := expand(io.MultiWriter(w, file), in, name, want.Size); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // what the decoder left
		return failed("read", "blob", err)
	}
	if err := checkSum(d, [32]byte(blob.Sum(nil))); err != nil {
		return err
	}
	return checkFile(name, want, file)
}

func checkFile(name string, want image.FileInfo, h hash.Hash) error {
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return corruptf(name, "sha256 %s…, want %s…", got[:8], want.SHA256[:8])
	}
	return nil
}

// expand decompresses in, which has to have size bytes then, and stops
// where it has more.
func expand(w io.Writer, in io.Reader, name string, size int64) error {
	src, dst := &noter{r: in}, &noter{w: w}
	z, err := newDecoder(src, 1)
	var n int64
	if err == nil {
		defer z.Close()
		n, err = io.Copy(dst, io.LimitReader(z, size+1))
	}
	switch {
	case src.err != nil:
		return failed("read", "blob", src.err)
	case dst.err != nil:
		return dst.err
	case n > size:
		return corruptf(name, "more than %d bytes, compressed", size)
	case err != nil:
		return corruptf(name, "%v", err)
	case n < size:
		return corruptf(name, "%d bytes, want %d", n, size)
	}
	return nil
}

// A noter keeps the error of what it passes on, to tell it from the
// decoder's own.
type noter struct {
	r   io.Reader
	w   io.Writer
	err error
}

func (t *noter) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

func (t *noter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err != nil {
		t.err = err
	}
	return n, err
}

// frames returns where the chunks are in the pages blob.
func (im *importer) frames(m image.MemoryInfo, chunks []image.Chunk, blob int64) ([]frame, error) {
	d := im.layers[pagesIndexTitle(m)]
	b, err := im.layout.bytes(d, maxCompressed(maxIndexSize(m.Size)))
	if err != nil {
		return nil, err
	}
	z, err := newDecoder(nil, 1)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	b, err = z.DecodeAll(b, make([]byte, 0, maxIndexSize(m.Size)))
	if err != nil {
		return nil, corruptf(pagesIndexTitle(m), "%v", err)
	}
	frames, err := decodeFrames(b, chunks, blob)
	if err != nil {
		return nil, corruptf(pagesIndexTitle(m), "%v", err)
	}
	return frames, nil
}

// memory writes a pages file: some frames at the same time, while the blob is
// read once, from its start to its end.
func (im *importer) memory(m image.MemoryInfo, chunks []image.Chunk) error {
	d, ok := im.layers[pagesTitle(m)]
	if ok != (len(chunks) > 0) {
		return corruptf(pagesTitle(m), "%d chunks, and the layer is there: %v", len(chunks), ok)
	}
	frames, err := im.frames(m, chunks, d.Size)
	if err != nil {
		return err
	}
	return im.create(m.Pages, func(w *fileWriter) error {
		if err := w.f.Truncate(m.Size); err != nil {
			return failed("truncate", m.Pages, err)
		}
		if !ok {
			return nil
		}
		s, err := im.layout.blob(d, d.Size)
		if err != nil {
			return err
		}
		defer s.Close()
		return im.pages(w.f, m, s, d, chunks, frames)
	})
}

func (im *importer) pages(f image.File, m image.MemoryInfo, s *section, d descriptor, chunks []image.Chunk, frames []frame) error {
	z, err := newDecoder(nil, workers)
	if err != nil {
		return err
	}
	defer z.Close()
	blob := sha256.New()
	in, out, errs := make([][]byte, workers), make([][]byte, workers), make([]error, workers)
	for k := range in {
		in[k], out[k] = make([]byte, maxFrame), make([]byte, image.ChunkSize)
	}
	for at := 0; at < len(frames); at += workers {
		if err := im.ctx.Err(); err != nil {
			return err
		}
		n := min(workers, len(frames)-at)
		var wg sync.WaitGroup
		for k := range n {
			fr := frames[at+k]
			b := in[k][:fr.length]
			if err := readFull(s, "blob", b, int64(fr.offset)); err != nil {
				wg.Wait()
				return err
			}
			blob.Write(b)
			wg.Go(func() { errs[k] = writeChunk(f, m.Pages, z, chunks[at+k], fr, b, out[k]) })
		}
		wg.Wait()
		for k := range n {
			if errs[k] != nil {
				return errs[k]
			}
			im.progress(int64(chunks[at+k].Pages()) * image.PageSize)
		}
	}
	return checkSum(d, [32]byte(blob.Sum(nil)))
}

// writeChunk verifies a frame and what it holds, and writes the pages where
// they belong. buf has ChunkSize bytes.
func writeChunk(f image.File, name string, z *zstd.Decoder, c image.Chunk, fr frame, in, buf []byte) error {
	if sum := sha256.Sum256(in); sum != fr.sum {
		return corruptf(name, "chunk %d: sha256 of the frame %x…, want %x…", c.Index, sum[:4], fr.sum[:4])
	}
	want := c.Pages() * image.PageSize
	p, err := z.DecodeAll(in, buf[:0:want])
	if err != nil {
		return corruptf(name, "chunk %d: %v", c.Index, err)
	}
	if len(p) != want {
		return corruptf(name, "chunk %d: %d bytes, want %d", c.Index, len(p), want)
	}
	if sum := sha256.Sum256(p); sum != c.SHA256 {
		return corruptf(name, "chunk %d: sha256 %x…, want %x…", c.Index, sum[:4], c.SHA256[:4])
	}
	for off, n := range c.Runs() {
		if _, err := f.WriteAt(p[:n], c.Offset()+int64(off)); err != nil {
			return failed("write", name, err)
		}
		p = p[n:]
	}
	return nil
}
