package kernel

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

func (w *world) random(sizes ...int) []byte {
	w.t.Helper()
	var out []byte
	for _, n := range sizes {
		b := make([]byte, n)
		if err := w.k.ReadRandom(b); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func seed(n uint64) func(*Options) { return func(o *Options) { o.Seed = &n } }

// A seed says which bytes a guest gets, however it takes them; saved at any
// byte, the restored guest goes on with the next one.
func TestSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := newWorldWith(t, seed(1), enginetest.Loop{}).random(4000)
		if bytes.Equal(want, newWorldWith(t, seed(2), enginetest.Loop{}).random(4000)) {
			t.Error("another seed makes no difference")
		}
		w := newWorldWith(t, seed(1), enginetest.Loop{})
		w.start()
		if got := w.random(0, 1, 2, 3, 500, 7, 1, 3486); !bytes.Equal(got, want) {
			t.Error("it makes a difference how the bytes are taken")
		}
		for at := range 40 {
			w := newWorldWith(t, seed(1), enginetest.Loop{})
			w.start()
			got := w.random(at, 13*at)
			st := w.saved()
			w.opts = nil // what was saved needs no seed
			n, err := w.restored(t, st)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, n.random(4000-14*at)...)
			if !bytes.Equal(got, want) {
				t.Errorf("saved after %d bytes, the rest is another", 14*at)
			}
			w.opts = seed(1) // another run of the same image, begun anew
			if n, err = w.restored(t, st); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(n.random(4000), want) {
				t.Error("a seed at the restore does not begin anew")
			}
		}
	})
}

// The sequence of a seed is part of what users see: it does not change.
func TestSeedSequence(t *testing.T) {
	k := New(Options{Seed: new(uint64)})
	b := make([]byte, 8)
	if err := k.ReadRandom(b); err != nil {
		t.Fatal(err)
	}
	if want := [8]byte{0xd9, 0x87, 0x7e, 0xce, 0x6d, 0x36, 0x8a, 0xac}; [8]byte(b) != want {
		t.Errorf("seed 0 begins with %#v", b)
	}
}

// Without a seed nothing is saved: restored twice, an image gives two sequences.
func TestNoSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		st := w.saved()
		if st.Random != nil {
			t.Errorf("%d bytes are saved", len(st.Random))
		}
		a, err1 := w.restored(t, st)
		b, err2 := w.restored(t, st)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a.random(32), b.random(32)) {
			t.Error("both get the same bytes")
		}
		k := New(Options{Random: iotest.ErrReader(errors.ErrUnsupported)})
		if err := k.ReadRandom(make([]byte, 1)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("error %v", err)
		}
	})
}
