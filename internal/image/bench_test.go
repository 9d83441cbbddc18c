package image_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stasis-run/stasis/internal/image"
)

const benchSize = 256 << 20

// benchMemory returns a memory of which every stride-th page is not zero.
func benchMemory(stride int) []byte {
	mem := make([]byte, benchSize)
	src := rand.NewChaCha8([32]byte{1})
	for off := 0; off < len(mem); off += stride * image.PageSize {
		src.Read(mem[off : off+image.PageSize])
	}
	return mem
}

// BenchmarkMemory is what a stopped guest waits for: hash and write, no sync.
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
				w, err := image.Create(image.OS, filepath.Join(b.TempDir(), "py"))
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := w.Memory(0, mem); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := w.Abort(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkWrite is a whole image, synced.
func BenchmarkWrite(b *testing.B) {
	mem := benchMemory(1)
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := write(image.OS, filepath.Join(b.TempDir(), "py"), mem); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen verifies a full memory; BenchmarkFillMemory reads it.
func BenchmarkOpen(b *testing.B) {
	dir := benchImage(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		im, err := image.Open(image.OS, dir)
		if err != nil {
			b.Fatal(err)
		}
		im.Close()
	}
}

func BenchmarkFillMemory(b *testing.B) {
	im, err := image.Open(image.OS, benchImage(b))
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	dst := make([]byte, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := im.FillMemory(0, dst); err != nil {
			b.Fatal(err)
		}
	}
}

func benchImage(b *testing.B) string {
	dir := filepath.Join(b.TempDir(), "py")
	if err := write(image.OS, dir, benchMemory(1)); err != nil {
		b.Fatal(err)
	}
	return dir
}
