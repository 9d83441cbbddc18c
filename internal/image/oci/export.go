package oci

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/stasis-run/stasis/internal/image"
)

// ExportOptions describe an export. The zero value works.
type ExportOptions struct {
	// Tag names the image in the layout; "" is "latest".
	Tag string

	// Progress is told, after each step, how many bytes of the image are
	// done, of how many. It is called by one goroutine at a time.
	Progress func(done, total int64)

	// FS is where the layout is written; nil is [image.OS].
	FS image.FS

	// TempDir is where ExportTar keeps the compressed blobs meanwhile: it has
	// to name their digests before it writes them. "" is the host's.
	TempDir string
}

func (o ExportOptions) fs() image.FS {
	if o.FS == nil {
		return image.OS
	}
	return o.FS
}

// Export writes im as a layout: a directory, or a tar if the name ends in
// ".tar". Either is complete or absent. All that it reads of im is verified.
func Export(ctx context.Context, im *image.Image, dst string, o ExportOptions) error {
	s, err := image.NewStage(o.fs(), dst)
	if err == nil {
		err = exportStage(ctx, im, s, strings.HasSuffix(dst, ".tar"), o)
		err = errors.Join(err, s.Abort()) // of a tar, what is left; nothing after a success
	}
	if err != nil {
		return fmt.Errorf("export to %s: %w", dst, err)
	}
	return nil
}

func exportStage(ctx context.Context, im *image.Image, s *image.Stage, asTar bool, o ExportOptions) error {
	b := newBuilder(ctx, im, o)
	b.root = s.Path(".")
	if !asTar {
		if err := b.build(); err != nil {
			return err
		}
		return s.Publish()
	}
	b.root = s.Path("layout")
	if err := b.fsys.Mkdir(b.root); err != nil {
		return failed("make", "layout", err)
	}
	if err := b.build(); err != nil {
		return err
	}
	if err := b.write(s.Path("tar"), "tar", func(w *fileWriter) error { return b.tar(w) }); err != nil {
		return err
	}
	return s.PublishFile("tar")
}

// ExportTar writes im as the tar of a layout. After an error, what was written
// is of no use.
func ExportTar(ctx context.Context, im *image.Image, w io.Writer, o ExportOptions) error {
	dir := o.TempDir
	if dir == "" {
		dir = os.TempDir()
	}
	s, err := image.NewStage(o.fs(), filepath.Join(dir, "stasis-export-"+strings.ToLower(rand.Text())))
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	b := newBuilder(ctx, im, o)
	b.root = s.Path(".")
	err = b.build()
	if err == nil {
		err = b.tar(w)
	}
	if err := errors.Join(err, s.Abort()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// A builder writes a layout.
type builder struct {
	ctx  context.Context
	im   *image.Image
	c    image.Config
	fsys image.FS
	root string
	o    ExportOptions

	temps       int      // temporary files made so far
	files       []string // of the layout, in the order in which a reader wants them
	done, total int64    // bytes
}

func newBuilder(ctx context.Context, im *image.Image, o ExportOptions) *builder {
	b := &builder{ctx: ctx, im: im, c: im.Config(), fsys: o.fs(), o: o}
	pages := 0
	for i := range b.c.Memories {
		for _, c := range im.Chunks(i) {
			pages += c.Pages()
		}
	}
	b.total = total(&b.c, int64(pages))
	return b
}

func (b *builder) progress(n int64) {
	b.done += n
	if b.o.Progress != nil {
		b.o.Progress(b.done, b.total)
	}
}

func (b *builder) path(name string) string { return filepath.Join(b.root, name) }

// build writes and syncs all of the layout but the names in its root.
func (b *builder) build() error {
	for _, dir := range []string{blobsDir, sha256Dir} {
		if err := b.fsys.Mkdir(b.path(dir)); err != nil {
			return failed("make", dir, err)
		}
	}
	m, err := b.manifest()
	if err != nil {
		return err
	}
	js, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d, err := b.bytes(js)
	if err != nil {
		return err
	}
	d.MediaType, d.ArtifactType = manifestType, ArtifactType
	d.Annotations = map[string]string{tagKey: b.o.Tag}
	if b.o.Tag == "" {
		d.Annotations[tagKey] = "latest"
	}
	js, err = json.Marshal(index{SchemaVersion: 2, MediaType: indexType, Manifests: []descriptor{d}})
	if err != nil {
		return err
	}
	last := b.files[len(b.files)-1]
	b.files = append([]string{layoutFile, indexFile, last}, b.files[:len(b.files)-1]...)
	for _, f := range []struct{ name, text string }{{indexFile, string(js)}, {layoutFile, layoutText}} {
		err := b.write(b.path(f.name), f.name, func(w *fileWriter) error {
			_, err := io.WriteString(w, f.text)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, dir := range []string{sha256Dir, blobsDir} {
		if err := image.SyncDir(b.fsys, b.path(dir)); err != nil {
			return failed("sync", dir, err)
		}
	}
	return nil
}

// write makes and syncs the file at path, which errors name as name.
func (b *builder) write(path, name string, write func(w *fileWriter) error) error {
	f, err := b.fsys.Create(path)
	if err != nil {
		return failed("create", name, err)
	}
	err = write(&fileWriter{f: f, name: name, hash: sha256.New()})
	if err == nil {
		err = failed("sync", name, f.Sync())
	}
	if e := f.Close(); err == nil {
		err = failed("close", name, e)
	}
	return err
}

// failed says which operation failed on what, without the path, which may be
// one that nobody knows. It is nil if err is.
func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s %s: %w", op, name, err)
}

// manifest writes the blobs of the image, and returns its manifest.
func (b *builder) manifest() (*manifest, error) {
	m := &manifest{
		SchemaVersion: 2, MediaType: manifestType, ArtifactType: ArtifactType,
		Annotations: map[string]string{createdKey: b.c.Created.Format(time.RFC3339)},
	}
	var err error
	if m.Config, err = b.bytes(b.im.ConfigJSON()); err != nil {
		return nil, err
	}
	m.Config.MediaType = ConfigType
	add := func(l layer, d descriptor, err error) error {
		d.MediaType, d.Annotations = l.mediaType, map[string]string{titleKey: l.title}
		m.Layers = append(m.Layers, d)
		if err != nil {
			return fmt.Errorf("%s: %w", l.title, err)
		}
		return nil
	}
	for _, name := range b.c.FileNames() {
		if _, ok := b.c.Files[name]; !ok {
			continue // digest, config, pages
		}
		d, err := b.file(name)
		if err := add(fileLayer(&b.c, name), d, err); err != nil {
			return nil, err
		}
	}
	for i, mi := range b.c.Memories {
		pages, frames, err := b.pages(i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mi.Pages, err)
		}
		d, err := b.compressed(encodeFrames(frames))
		if err := add(layer{title: pagesIndexTitle(mi), mediaType: PagesIndexType}, d, err); err != nil {
			return nil, err
		}
		if len(frames) > 0 {
			add(layer{title: pagesTitle(mi), mediaType: PagesType}, pages, nil)
		}
	}
	return m, nil
}

// file writes a file of the image as a blob.
func (b *builder) file(name string) (descriptor, error) {
	p, err := b.im.ReadFile(name)
	if err != nil {
		return descriptor{}, err
	}
	d, err := b.compressed(p)
	b.progress(int64(len(p)))
	return d, err
}

// bytes writes p as a blob.
func (b *builder) bytes(p []byte) (descriptor, error) {
	return b.blob(func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	})
}

// compressed writes p as a compressed blob.
func (b *builder) compressed(p []byte) (descriptor, error) {
	return b.blob(func(w io.Writer) error {
		z, err := newEncoder(w, 1)
		if err != nil {
			return err
		}
		for len(p) > 0 && err == nil {
			n := min(len(p), image.ChunkSize)
			if err = b.ctx.Err(); err == nil {
				_, err = z.Write(p[:n])
			}
			p = p[n:]
		}
		if e := z.Close(); err == nil {
			err = e
		}
		return err
	})
}

// newEncoder makes an encoder whose output depends on nothing but its input.
func newEncoder(w io.Writer, concurrency int) (*zstd.Encoder, error) {
	return zstd.NewWriter(w,
		zstd.WithEncoderConcurrency(concurrency), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true),
		zstd.WithWindowSize(maxWindow/2), zstd.WithEncoderLevel(zstd.SpeedDefault))
}

// A fileWriter writes a file from its start on.
type fileWriter struct {
	f    image.File
	name string // for errors
	off  int64
	hash hash.Hash // of all that was written
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.off)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.hash.Write(p[:n])
	w.off += int64(n)
	return n, failed("write", w.name, err)
}

// blob makes a blob of what write writes.
func (b *builder) blob(write func(w io.Writer) error) (descriptor, error) {
	if err := b.ctx.Err(); err != nil {
		return descriptor{}, err
	}
	temp := b.path(fmt.Sprintf("tmp-%d", b.temps))
	b.temps++
	var sum string
	var size int64
	err := b.write(temp, "blob", func(w *fileWriter) error {
		err := write(w)
		sum, size = hex.EncodeToString(w.hash.Sum(nil)), w.off
		return err
	})
	if err != nil {
		return descriptor{}, err
	}
	name := sha256Dir + "/" + sum
	err = failed("rename", "blob", b.fsys.RenameNew(temp, b.path(name)))
	if errors.Is(err, fs.ErrExist) { // two parts that are the same
		err = failed("remove", "blob", b.fsys.RemoveAll(temp))
	}
	if !slices.Contains(b.files, name) {
		b.files = append(b.files, name)
	}
	return descriptor{Digest: "sha256:" + sum, Size: size}, err
}

// workers is how many chunks are compressed at a time.
var workers = min(runtime.NumCPU(), 4)

// pages writes the pages of memory i as a blob, if it has any.
func (b *builder) pages(i int) (descriptor, []frame, error) {
	var at []int // the entries of the page map that have pages
	for n, c := range b.im.Chunks(i) {
		if c.Present != 0 {
			at = append(at, n)
		}
	}
	if len(at) == 0 {
		return descriptor{}, nil, nil
	}
	z, err := newEncoder(nil, workers)
	if err != nil {
		return descriptor{}, nil, err
	}
	defer z.Close()
	var frames []frame
	d, err := b.blob(func(w io.Writer) error {
		frames, err = b.frames(w, z, i, at)
		return err
	})
	return d, frames, err
}

// frames writes a frame for each of the entries at, some at the same time.
func (b *builder) frames(w io.Writer, z *zstd.Encoder, i int, at []int) ([]frame, error) {
	chunks := b.im.Chunks(i)
	in, out, errs := make([][]byte, workers), make([][]byte, workers), make([]error, workers)
	for k := range in {
		in[k] = make([]byte, image.ChunkSize)
	}
	var frames []frame
	var off uint64
	for len(at) > 0 {
		if err := b.ctx.Err(); err != nil {
			return nil, err
		}
		batch := at[:min(workers, len(at))]
		at = at[len(batch):]
		var wg sync.WaitGroup
		for k, n := range batch {
			wg.Go(func() {
				var p []byte
				p, errs[k] = b.im.ReadChunk(i, n, in[k])
				out[k] = z.EncodeAll(p, out[k][:0])
			})
		}
		wg.Wait()
		for k, n := range batch {
			if errs[k] != nil {
				return nil, errs[k]
			}
			if _, err := w.Write(out[k]); err != nil {
				return nil, err
			}
			frames = append(frames, frame{chunks[n].Index, uint32(len(out[k])), off, sha256.Sum256(out[k])})
			off += uint64(len(out[k]))
			b.progress(int64(chunks[n].Pages()) * image.PageSize)
		}
	}
	return frames, nil
}
