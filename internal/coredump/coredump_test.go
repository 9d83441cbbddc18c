package coredump_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/coredump"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A reader reads a dump's custom sections, by the tool conventions' grammar alone.
type reader struct {
	t *testing.T
	b []byte
}

func (r *reader) byte() byte {
	r.t.Helper()
	if len(r.b) == 0 {
		r.t.Fatal("the section ends early")
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.t.Fatal("no number")
	}
	r.b = r.b[n:]
	return uint32(v)
}

func (r *reader) s64() (v int64) {
	for shift := 0; ; shift += 7 {
		x := r.byte()
		v |= int64(x&0x7f) << shift
		if x < 0x80 {
			if shift < 57 && x&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

func (r *reader) name() string {
	n := r.u32()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) values() (out []any) {
	for range r.u32() {
		switch r.byte() {
		case 0x01:
			out = append(out, nil)
		case 0x7f:
			out = append(out, int32(r.s64()))
		case 0x7e:
			out = append(out, r.s64())
		case 0x7d:
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(r.b)))
			r.b = r.b[4:]
		case 0x7c:
			out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(r.b)))
			r.b = r.b[8:]
		default:
			r.t.Fatal("no such value")
		}
	}
	return out
}

// A frame is one as a dump has it.
type frame struct {
	instance, fn, offset uint32
	locals, stack        []any
}

func stackOf(t *testing.T, section []byte) (name string, frames []frame) {
	r := &reader{t, section}
	r.byte()
	name = r.name()
	for range r.u32() {
		if r.byte() != 0 {
			t.Fatal("no frame")
		}
		frames = append(frames, frame{r.u32(), r.u32(), r.u32(), r.values(), r.values()})
	}
	if len(r.b) > 0 {
		t.Fatalf("%d bytes left", len(r.b))
	}
	return name, frames
}

func write(t *testing.T, d *coredump.Dump) (*wasm.Module, map[string][][]byte) {
	t.Helper()
	var b bytes.Buffer
	if err := coredump.Write(&b, d); err != nil {
		t.Fatal(err)
	}
	m, err := wasm.Decode(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := wasm.Validate(m); err != nil {
		t.Fatal(err)
	}
	sections := make(map[string][][]byte)
	for _, c := range m.Customs {
		sections[c.Name] = append(sections[c.Name], c.Bytes)
	}
	return m, sections
}

type noHost struct{}

func (noHost) Call(uint32, []uint64) engine.Action { return engine.Unwind }

// A guest that waits in a call, taken apart: all that is live is in the dump.
func TestDumpOfValues(t *testing.T) {
	b, err := os.ReadFile("testdata/values.wasm")
	if err != nil {
		t.Fatal(err)
	}
	e, err := wazero.New(context.Background(), wazero.Options{Pass: instrument.Options{Counted: true}})
	if err != nil {
		t.Fatal(err)
	}
	m := enginetest.Compile(t, e, b)
	th, err := m.New(context.Background(), noHost{}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	fn, _, _ := m.Export("outer")
	if err := th.Start(fn, []uint64{7}); err != nil {
		t.Fatal(err)
	}
	if ev := th.Run(context.Background()); ev.Kind != engine.Unwound {
		t.Fatalf("event %+v", ev)
	}
	st, err := th.Save()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := wasm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	at := th.Backtrace()
	out, sections := write(t, &coredump.Dump{
		Program: "values", Module: mod, Memory: th.Memory().Bytes(),
		Threads: []coredump.Thread{{
			Name: coredump.ThreadName(1), Globals: st.Globals,
			Frames: coredump.FramesOf(&at, func(below int) []engine.Slot { return st.Frames[below].Values }),
		}},
	})
	if want := []byte("\x00\x06values"); !bytes.Equal(sections["core"][0], want) {
		t.Errorf("core %q, want %q", sections["core"][0], want)
	}
	if want := []byte("\x01\x00\x06values"); !bytes.Equal(sections["coremodules"][0], want) {
		t.Errorf("coremodules %q, want %q", sections["coremodules"][0], want)
	}
	if want := []byte{1, 0, 0, 1, 0, 2, 0, 1}; !bytes.Equal(sections["coreinstances"][0], want) {
		t.Errorf("coreinstances %v, want %v", sections["coreinstances"][0], want)
	}
	name, frames := stackOf(t, sections["corestack"][0])
	want := []frame{
		{0, 1, innerCall, []any{int32(14), int64(-5), float32(1.5), 2.5, nil}, nil},
		{0, 2, outerCall, []any{int32(7)}, []any{int32(100)}},
	}
	if name != "task 1" || !reflect.DeepEqual(frames, want) {
		t.Errorf("stack of %s:\n%v, want\n%v", name, frames, want)
	}
	// Memory: 3 pages; what is not zero, and no more than that.
	if len(out.Memories) != 1 || out.Memories[0].Min != 3 {
		t.Errorf("memories %v", out.Memories)
	}
	memory := make([]byte, 3<<16)
	total := 0
	for _, d := range out.Data {
		r := wasm.NewReader(d.Offset)
		var in wasm.Instr
		if err := r.Next(&in); err != nil {
			t.Fatal(err)
		}
		copy(memory[uint32(in.A):], d.Bytes)
		total += len(d.Bytes)
	}
	if !bytes.Equal(memory, th.Memory().Bytes()) || total != 3*4096 {
		t.Errorf("memory differs, or %d bytes of data, want %d", total, 3*4096)
	}
	var inits []byte
	for _, g := range out.Globals {
		if g.Type.Mutable {
			t.Error("a global is not constant")
		}
		inits = append(inits, g.Init...)
	}
	if want := []byte{0x41, 42, 0x0b, 0x42, 9, 0x0b}; !bytes.Equal(inits, want) { // i32.const 42, i64.const 9
		t.Errorf("globals % x, want % x", inits, want)
	}
}

// Where the calls in testdata/values.wat are, in bytes from the start of their
// functions, as wasm-objdump -d has them.
const (
	innerCall = 0x66 - 0x47
	outerCall = 0xa0 - 0x81
)

// Nothing is known of a frame that was running.
func TestDumpOfTrap(t *testing.T) {
	b, err := os.ReadFile("testdata/values.wasm")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := wasm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	at := engine.Trace{Frames: []engine.Location{{Func: 1, Pos: 3}, {Func: 2}}, Cut: 4, Outer: []engine.Location{{Func: 2, Pos: 1}}}
	var asked []int
	_, sections := write(t, &coredump.Dump{
		Module: mod,
		Threads: []coredump.Thread{{Frames: coredump.FramesOf(&at, func(below int) []engine.Slot {
			asked = append(asked, below)
			return nil
		})}, {}},
	})
	_, frames := stackOf(t, sections["corestack"][0])
	none := []any{nil, nil, nil, nil, nil}
	want := []frame{{0, 1, 13, none, nil}, {0, 2, 0, none[:1], nil}, {0, 2, 1, none[:1], nil}}
	if !reflect.DeepEqual(frames, want) {
		t.Errorf("frames %v, want %v", frames, want)
	}
	if !reflect.DeepEqual(asked, []int{6, 5, 0}) {
		t.Errorf("asked for the values of %v", asked)
	}
	if want := []byte{2, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 2, 3}; !bytes.Equal(sections["coreinstances"][0], want) {
		t.Errorf("coreinstances %v, want %v", sections["coreinstances"][0], want)
	}
}

// full is a file of a disk that has no room for more than so many bytes.
type full int

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), int(*f))
	*f -= full(n)
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func TestDumpToFullDisk(t *testing.T) {
	b, err := os.ReadFile("testdata/values.wasm")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := wasm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	d := &coredump.Dump{Program: strings.Repeat("x", 300), Module: mod, Memory: bytes.Repeat([]byte{1}, 2<<16)}
	for _, room := range []int{0, 1, 400, 1 << 16, 2 << 16} {
		f := full(room)
		if err := coredump.Write(&f, d); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: error %v", room, err)
		}
	}
}
