package image_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/image"
)

const benchSize = 512 << 20

// benchMemory returns a memory of which every stride-th page is not zero.
func benchMemory(stride int) []byte {
	mem := make([]byte, benchSize)
	for off := 0; off < len(mem); off += 4096 {
		mem[off] = 0 // touched, as a guest's is
	}
	src := rand.NewChaCha8([32]byte{1})
	for off := 0; off < len(mem); off += stride * image.PageSize {
		src.Read(mem[off : off+image.PageSize])
	}
	return mem
}

func benchWriter(b *testing.B) (*image.Draft, *image.Writer) {
	d, err := image.Create(image.OS, filepath.Join(b.TempDir(), "py"))
	if err != nil {
		b.Fatal(err)
	}
	return d, image.NewWriter(d.File)
}

// BenchmarkMemory is what a stopped guest waits for.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name   string
		stride int
	}{{"full", 1}, {"half", 2}, {"zero", benchSize}} {
		b.Run(c.name, func(b *testing.B) {
			mem := benchMemory(c.stride)
			b.SetBytes(benchSize)
			for b.Loop() {
				b.StopTimer()
				d, w := benchWriter(b)
				b.StartTimer()
				if err := w.Memory(0, mem); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				w.Close()
				if err := d.Abort(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkFinish is what follows while the guest runs again: read back, hash;
// and BenchmarkPublish the syncs.
func BenchmarkFinish(b *testing.B)  { benchEnd(b, false) }
func BenchmarkPublish(b *testing.B) { benchEnd(b, true) }

func benchEnd(b *testing.B, publish bool) {
	mem := benchMemory(1)
	b.SetBytes(benchSize)
	for b.Loop() {
		b.StopTimer()
		d, w := benchWriter(b)
		if err := writeParts(w, [][]byte{mem}); err != nil {
			b.Fatal(err)
		}
		if !publish {
			b.StartTimer()
		}
		if _, err := w.Finish(testConfig); err != nil {
			b.Fatal(err)
		}
		if publish {
			b.StartTimer()
			if err := d.Publish(); err != nil {
				b.Fatal(err)
			}
		} else {
			b.StopTimer()
			d.Abort()
			b.StartTimer()
		}
	}
}

// BenchmarkRestore opens an image and fills a fresh mapping; BenchmarkVerify
// looks at every byte.
func BenchmarkRestore(b *testing.B) {
	for _, c := range []struct {
		name   string
		stride int
	}{{"full", 1}, {"tenth", 10}} {
		b.Run(c.name, func(b *testing.B) {
			dir := benchImage(b, c.stride)
			b.SetBytes(benchSize)
			for b.Loop() {
				im, err := image.Open(image.OS, dir)
				if err != nil {
					b.Fatal(err)
				}
				dst, err := unix.Mmap(-1, 0, benchSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
				if err != nil {
					b.Fatal(err)
				}
				if err := im.FillMemory(0, dst); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				unix.Munmap(dst)
				im.Close()
				b.StartTimer()
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	im, err := image.Open(image.OS, benchImage(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := im.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchImage(b *testing.B, stride int) string {
	dir := filepath.Join(b.TempDir(), "py")
	if err := write(image.OS, dir, benchMemory(stride)); err != nil {
		b.Fatal(err)
	}
	return dir
}
