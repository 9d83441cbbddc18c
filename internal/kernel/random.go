package kernel

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand/v2"

	"github.com/stasis-run/stasis/internal/invariants"
)

// random is where guests' random bytes come from: the host, or a generator that
// is saved with the system, so that a restored guest goes on with the sequence
// that it began. The host's are not saved: of an image that is restored twice,
// each guest gets its own.
type random struct {
	host   io.Reader         // immutable
	seeded *mathrand.ChaCha8 // nil for the host's; immutable once tasks run

	mu invariants.Mutex[randomLock] // held while seeded is used
}

func (r *random) begin(o Options) {
	r.host = o.Random
	if r.host == nil {
		r.host = rand.Reader
	}
	if o.Seed != nil {
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], *o.Seed)
		r.seeded = mathrand.NewChaCha8(key)
	}
}

// read fills b.
func (r *random) read(b []byte) error {
	if r.seeded == nil {
		_, err := io.ReadFull(r.host, b)
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.seeded.Read(b)
	return err
}

// save is the generator's state, or nil if there is none.
func (r *random) save() ([]byte, error) {
	if r.seeded == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.seeded.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("random generator: %w", err)
	}
	return b, nil
}

// restore goes on with a saved generator, unless a seed has begun another one.
func (r *random) restore(b []byte) error {
	if len(b) == 0 || r.seeded != nil {
		return nil
	}
	g := new(mathrand.ChaCha8)
	if err := g.UnmarshalBinary(b); err != nil {
		return fmt.Errorf("random generator: %w", err)
	}
	r.seeded = g
	return nil
}

// ReadRandom fills b with random bytes for a guest.
func (k *Kernel) ReadRandom(b []byte) error { return k.random.read(b) }
