package processes

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/invariants"
	"github.com/stasis-run/stasis/internal/kernel"
)

// A memoryImage is the files of an image, in memory.
type memoryImage map[string]*memoryFile

func (m memoryImage) create(name string) (image.File, error) {
	m[name] = &memoryFile{name: name}
	return m[name], nil
}

func (m memoryImage) file(name string) (image.File, error) {
	if f := m[name]; f != nil {
		return f, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (m memoryImage) open() (*image.Image, error) { return image.OpenFiles(m.file) }

// A memoryFile implements image.File.
type memoryFile struct {
	name string

	mu    sync.Mutex
	bytes []byte // protected by mu
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.NewReader(f.bytes).ReadAt(p, off)
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end := int(off) + len(p); end > len(f.bytes) {
		f.bytes = append(f.bytes, make([]byte, end-len(f.bytes))...)
	}
	return copy(f.bytes[off:], p), nil
}

func (f *memoryFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int(size) <= len(f.bytes) {
		f.bytes = f.bytes[:size]
	} else {
		f.bytes = append(f.bytes, make([]byte, int(size)-len(f.bytes))...)
	}
	return nil
}

func (f *memoryFile) NextData(off int64) (start, end int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.bytes)) {
		return 0, 0, io.EOF
	}
	return off, int64(len(f.bytes)), nil
}

func (f *memoryFile) Stat() (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return memoryInfo{f.name, int64(len(f.bytes))}, nil
}

func (f *memoryFile) Sync() error            { return nil }
func (f *memoryFile) Close() error           { return nil }
func (f *memoryFile) TryLock() (bool, error) { return true, nil }

type memoryInfo struct {
	name string
	size int64
}

func (i memoryInfo) Name() string       { return i.name }
func (i memoryInfo) Size() int64        { return i.size }
func (i memoryInfo) Mode() fs.FileMode  { return 0o600 }
func (i memoryInfo) ModTime() time.Time { return time.Time{} }
func (i memoryInfo) IsDir() bool        { return false }
func (i memoryInfo) Sys() any           { return nil }

// A disturber says where a system is saved: at those of its stops that are wanted.
type disturber struct {
	stress   func() kernel.Stress        // of the next system; Stopped is not its
	want     func() bool                 // called with mu
	creating func(w *world, file string) // called for each file of an image; or nil

	mu    sync.Mutex
	seen  int // stops, and those where the system was saved; protected by mu
	stops chan *kernel.ExternalStop
}

func newDisturber(stress func() kernel.Stress, want func() bool) *disturber {
	return &disturber{stress: stress, want: want, stops: make(chan *kernel.ExternalStop, 1)}
}

func (d *disturber) next() kernel.Stress {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stress()
	s.Stopped = d.stopped
	return s
}

func (d *disturber) stopped(stop *kernel.ExternalStop) {
	d.mu.Lock()
	d.seen++
	wanted := d.want()
	d.mu.Unlock()
	if !wanted {
		stop.End()
		return
	}
	select {
	case d.stops <- stop:
	default: // another task was first: its stop is this one's, too
		stop.End()
	}
}

// stop waits until the system is to be saved; nil if it has ended.
func (w *world) stop(d *disturber) *kernel.ExternalStop {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := w.k.Init().Wait(ctx)
		ended <- err
	}()
	select {
	case stop := <-d.stops:
		cancel()
		<-ended
		return stop
	case err := <-ended:
		if err != nil {
			w.t.Fatalf("the program hangs: %v: %+v\n%s", err, w.k.Stats(), w.printed())
		}
		return nil
	}
}

// disturbed runs a program whose system is saved, thrown away and woken wherever d
// wants it. It returns what was printed, and how often that was.
func (p *program) disturbed(t *testing.T, e errand, d *disturber) (end string, saved int) {
	t.Helper()
	w := p.boot(t, e, d.next())
	defer func() { w.close() }()
	for {
		stop := w.start().stop(d)
		if stop == nil {
			break
		}
		im := memoryImage{}
		n, ok := w.wakeElsewhere(func(file string) (image.File, error) {
			if d.creating != nil {
				d.creating(w, file)
			}
			return im.create(file)
		}, nil, im.open, d.next())
		stop.End()
		if !ok {
			break
		}
		select {
		case late := <-d.stops: // of a task that came to a safepoint meanwhile
			late.End()
		default:
		}
		w, saved = n, saved+1
	}
	return w.ends(), saved
}

// seed makes the random numbers of a test, the same each time.
var seed = flag.Uint64("seed", 1, "of the random places where programs are saved")

// most is how often a program is saved, about.
func most(t *testing.T, short, long int) int {
	t.Helper()
	if testing.Short() {
		return short
	}
	return long
}

// turn is the programs of one of the three tests below: in the short form under -race,
// which is ten times as slow, each runs a third of them.
func turn(t *testing.T, part int) []subject {
	list := subjects(t)
	if !testing.Short() || !invariants.Enabled {
		return list
	}
	var out []subject
	for i := part; i < len(list); i += 3 {
		out = append(out, list[i])
	}
	return out
}

// everywhere runs f for each of some programs, with random numbers of its own.
func everywhere(t *testing.T, list []subject, o wazero.Options, f func(t *testing.T, p *program, s *subject, r *rand.Rand)) {
	for i, s := range list {
		t.Run(s.name, func(t *testing.T) {
			if testing.Short() && s.long() {
				t.Skip("it computes for long")
			}
			f(t, compile(t, s.code, o), &s, rand.New(rand.NewPCG(*seed, uint64(i))))
		})
	}
}

// check runs a program, disturbed, and compares.
func (p *program) check(t *testing.T, s *subject, d *disturber, how string) (saved int) {
	t.Helper()
	got, saved := p.disturbed(t, s.errand, d)
	if got != s.want {
		t.Errorf("%s, saved %d times (seed %d): got %s\nwant %s", how, saved, *seed, got, s.want)
	}
	t.Logf("%s: %d stops, saved %d times", how, d.seen, saved)
	return saved
}

// A program prints the same if its system is saved, ended and woken from the image at
// its system calls: as each is about to be made, and in each that waits or as soon as it
// is done; with tasks that wait as they are for long, parked, too. Of programs that make
// very many calls, a part is taken.
func TestSavedAtCalls(t *testing.T) { everywhere(t, turn(t, 0), wazero.Options{}, savedAtCalls) }

func savedAtCalls(t *testing.T, p *program, s *subject, r *rand.Rand) {
	for _, calls := range []struct {
		how  string
		at   kernel.StressCalls
		park time.Duration
	}{{"before calls", kernel.BeforeCalls, 0}, {"in calls", kernel.InCalls, 0}, {"before calls, parked", kernel.BeforeCalls, time.Nanosecond}} {
		p.park = calls.park
		stress := func() kernel.Stress { return kernel.Stress{Calls: calls.at} }
		none := newDisturber(stress, func() bool { return false })
		p.check(t, s, none, calls.how)
		some := newDisturber(stress, func() bool { return r.IntN(none.seen) < most(t, 25, 3000) })
		if saved := p.check(t, s, some, calls.how); saved == 0 {
			t.Errorf("%s: never saved", calls.how)
		}
	}
}

// A program prints the same if its system is saved, ended and woken at random
// safepoints.
func TestSavedAtRandom(t *testing.T) { everywhere(t, turn(t, 1), counted, savedAtRandom) }

func savedAtRandom(t *testing.T, p *program, s *subject, r *rand.Rand) {
	all := newDisturber(func() kernel.Stress { return kernel.Stress{Every: 16} }, func() bool { return false })
	p.check(t, s, all, "every 16th")
	n := most(t, 8, 500)
	mean := max(16*all.seen/n, 1)
	d := newDisturber(func() kernel.Stress { return kernel.Stress{Every: 1 + int32(r.IntN(2*mean))} }, func() bool { return true })
	p.check(t, s, d, fmt.Sprintf("every %d", mean))
}

// A program prints the same if its system is saved, ended and woken at each safepoint of
// it in turn, for stretches of a program that has many.
func TestSavedInTurn(t *testing.T) {
	everywhere(t, turn(t, 2), counted, func(t *testing.T, p *program, s *subject, r *rand.Rand) {
		all := newDisturber(func() kernel.Stress { return kernel.Stress{Every: 16} }, func() bool { return false })
		p.check(t, s, all, "every 16th")
		const stretch = 20
		n := most(t, 10, 2000)
		skip := max(16*all.seen/n*stretch, 1)
		left := stretch
		d := newDisturber(func() kernel.Stress {
			if left--; left > 0 {
				return kernel.Stress{Every: 1}
			}
			left = stretch + 1
			return kernel.Stress{Every: 1 + int32(r.IntN(2*skip))}
		}, func() bool { return true })
		p.check(t, s, d, fmt.Sprintf("each of %d, of %d", stretch, skip))
	})
}

// A program whose children are killed while the memories of its system are written is
// restored as it was before: what is being saved stays until it is.
func TestKilledWhileSaved(t *testing.T) {
	killed := 0
	everywhere(t, subjects(t), wazero.Options{}, func(t *testing.T, p *program, s *subject, _ *rand.Rand) {
		left := most(t, 10, 1000)
		d := newDisturber(func() kernel.Stress { return kernel.Stress{Calls: kernel.BeforeCalls} }, func() bool { left--; return left >= 0 })
		d.creating = func(w *world, file string) {
			if file == image.PagesFile(1) { // the first memory is written, none of the others
				killed += w.killChildren()
			}
		}
		p.check(t, s, d, "children killed")
	})
	if killed == 0 {
		t.Error("no image was written while there were children")
	}
}

// killChildren ends all processes but the first, and tells how many there were.
func (w *world) killChildren() (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, g := range w.k.Tasks().Processes() {
		if g == w.k.Init() || g.Exiting() {
			continue
		}
		g.Terminate()
		if _, err := g.Wait(ctx); err != nil {
			w.t.Errorf("process %d does not end: %v", g.ID(), err)
		}
		n++
	}
	return n
}
