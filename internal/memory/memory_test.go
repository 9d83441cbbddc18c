package memory

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const page = 64 << 10

func newLinear(t *testing.T, limit uint64) *Linear {
	t.Helper()
	l, err := New(limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// A memory grows in place, to its limit and no further, and begins as zeros.
func TestGrow(t *testing.T) {
	l := newLinear(t, 100*page)
	if len(l.Bytes()) != 0 {
		t.Errorf("a new memory has %d bytes", len(l.Bytes()))
	}
	b, err := l.Resize(page)
	if err != nil || len(b) != page || cap(b) != page || !IsZero(b) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	b[0], b[page-1] = 1, 2
	grown, err := l.Resize(100 * page)
	if err != nil || len(grown) != 100*page {
		t.Fatalf("%d bytes, %v", len(grown), err)
	}
	if unsafe.SliceData(grown) != unsafe.SliceData(b) {
		t.Error("the memory has moved")
	}
	if grown[0] != 1 || grown[page-1] != 2 || !IsZero(grown[page:]) {
		t.Error("the content has changed")
	}
	grown[100*page-1] = 3
	for _, size := range []uint64{100*page + 1, 101 * page, MaxSize, math.MaxUint64} {
		if b, err := l.Resize(size); err == nil {
			t.Errorf("grown to %d of %d bytes", len(b), size)
		}
	}
	for _, size := range []uint64{0, page, 100 * page} { // never shrinks
		if b, err := l.Resize(size); err != nil || len(b) != 100*page {
			t.Errorf("%d bytes after Resize(%d), %v", len(b), size, err)
		}
	}
	if got := l.Bytes(); len(got) != 100*page || got[100*page-1] != 3 {
		t.Error("Bytes is something else")
	}
}

func TestLimits(t *testing.T) {
	l := newLinear(t, 0)
	if b, err := l.Resize(0); err != nil || len(b) != 0 || b == nil {
		t.Errorf("an empty memory: %v, %v", b, err)
	}
	if _, err := l.Resize(1); err == nil {
		t.Error("an empty memory has grown")
	}
	odd := newLinear(t, 5000) // no multiple of the host's pages
	b, err := odd.Resize(5000)
	if err != nil || len(b) != 5000 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	b[4999] = 1
	// All addresses of a wasm memory; what is not written costs nothing.
	huge := newLinear(t, math.MaxUint64)
	b, err = huge.Resize(MaxSize)
	if err != nil || len(b) != MaxSize {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	b[MaxSize-1] = 1
	if !IsZero(b[MaxSize-page : MaxSize-1]) {
		t.Error("the end is not zero")
	}
}

func TestClose(t *testing.T) {
	l, err := New(page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Resize(page); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(l.Bytes()) != 0 {
		t.Error("a closed memory has bytes")
	}
	if _, err := l.Resize(page); err == nil {
		t.Error("a closed memory has grown")
	}
}

// What is held stays until the last release, and not beyond it.
func TestHold(t *testing.T) {
	l, err := New(2 * page)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Resize(page)
	if err != nil {
		t.Fatal(err)
	}
	b[page-1] = 7
	first, second := l.Hold(), l.Hold()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	first()
	first()
	if b[page-1] != 7 {
		t.Errorf("the byte is %d", b[page-1])
	}
	if !mapped(b) {
		t.Error("it is not mapped while it is held")
	}
	second()
	if mapped(b) {
		t.Error("it is mapped though nobody holds it")
	}
}

// mapped reports whether there is anything at a page (mincore(2): ENOMEM if not).
func mapped(b []byte) bool {
	var in [page / 4096]byte
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(&in[0])))
	return errno == 0
}

func TestIsZero(t *testing.T) {
	if !IsZero(nil) {
		t.Error("nothing is zero")
	}
	buf := make([]byte, 300)
	for _, from := range []int{0, 1, 7} {
		for n := range 140 {
			b := buf[from : from+n]
			if !IsZero(b) {
				t.Fatalf("%d zeros are not", n)
			}
			for i := range b {
				for _, v := range []byte{1, 0x80} {
					b[i] = v
					if IsZero(b) {
						t.Fatalf("%#x at %d of %d is zero", v, i, n)
					}
				}
				b[i] = 0
			}
			buf[from+n] = 1 // what is next to it does not count
			if !IsZero(b) {
				t.Fatalf("%d zeros before a one are not", n)
			}
			buf[from+n] = 0
		}
	}
}

func FuzzIsZero(f *testing.F) {
	f.Add([]byte{0, 0, 1}, 70)
	f.Fuzz(func(t *testing.T, b []byte, pad int) {
		b = append(make([]byte, pad&1023), b...)
		if got, want := IsZero(b), len(bytes.Trim(b, "\x00")) == 0; got != want {
			t.Errorf("IsZero(%x) = %v", b, got)
		}
	})
}

func BenchmarkIsZero(b *testing.B) {
	buf := make([]byte, page)
	b.SetBytes(page)
	for b.Loop() {
		if !IsZero(buf) {
			b.Fatal("not zero")
		}
	}
}

// A bytesLeft is a Budget.
type bytesLeft int

func (b *bytesLeft) Take(n int) bool {
	if n > int(*b) {
		return false
	}
	*b -= bytesLeft(n)
	return true
}

func (b *bytesLeft) Give(n int) { *b += bytesLeft(n) }

// Memories of one budget have no more than that together, and give it back.
func TestBudget(t *testing.T) {
	left := bytesLeft(10 * page)
	a, err := NewIn(&left, 100*page)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewIn(&left, 100*page)
	if err != nil {
		t.Fatal(err)
	}
	resize := func(l *Linear, pages uint64, want bytesLeft, fails bool) {
		t.Helper()
		if _, err := l.Resize(pages * page); errors.Is(err, ErrBudget) != fails || (err != nil) != fails {
			t.Errorf("%d pages: %v", pages, err)
		}
		if left != want*page {
			t.Errorf("%d pages: %d bytes are left, want %d", pages, left, want*page)
		}
	}
	resize(a, 4, 6, false)
	resize(a, 4, 6, false)
	resize(b, 7, 6, true)
	resize(b, 6, 0, false)
	resize(a, 5, 0, true)
	if len(a.Bytes()) != 4*page {
		t.Errorf("%d bytes", len(a.Bytes()))
	}
	if _, err := a.Resize(101 * page); err == nil || errors.Is(err, ErrBudget) || left != 0 {
		t.Errorf("beyond its own limit: %v, %d bytes are left", err, left)
	}
	for _, l := range []*Linear{a, b, b} {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if left != 10*page {
		t.Errorf("%d bytes are left in the end", left)
	}
}
