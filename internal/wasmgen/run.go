package wasmgen

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// An Engine runs modules.
type Engine interface {
	// Instantiate links a module with the functions of h under "env" and
	// runs its start function. An error is a trap there, or a refusal.
	Instantiate(ctx context.Context, wasm []byte, h *Host) (Instance, error)
}

// An Instance is a module with its state. Values are 64-bit words: i32 and f32
// in the low half, a v128 as two words, low one first, a null reference as 0,
// an externref as the host's number.
type Instance interface {
	Call(ctx context.Context, fn string, args []uint64) ([]uint64, error)

	// Memory returns the exported memory as it is now; nil without one.
	Memory() []byte

	Close() error
}

// A Trace is all that can be seen of a run.
type Trace struct {
	Start string // why the module did not instantiate; then there is no more
	Calls []CallTrace
	Host  *Host

	MemorySize int
	Memory     uint64 // hash, good in this process
}

// memorySeed is of the hashes of memories.
var memorySeed = maphash.MakeSeed()

// A CallTrace is one call of an export.
type CallTrace struct {
	Func    string
	Args    []uint64
	Results []uint64 // NaNs canonical; a function reference is 0 or 1
	Trap    string   // what failed, in the engine's words, without its stack
	LogLen  int      // of the host's log after the call
}

// A table has up to tableMax entries, and is asked for the null-ness of
// asked, and called at probed of them, which the seed chooses.
const (
	tableMax = 26 // one beyond
	asked    = 5
	probed   = 4
)

// Execute runs all exports of a module, with arguments that depend on nothing
// but seed, and returns what it saw.
func Execute(ctx context.Context, e Engine, wasm []byte, seed uint64) *Trace {
	t := &Trace{Host: NewHost()}
	inst, err := e.Instantiate(ctx, wasm, t.Host)
	if err != nil {
		t.Start = trapText(err)
		return t
	}
	defer inst.Close()
	x := &execution{inst, t, &source{state: seed, endless: true}}
	names := exportedFuncs(wasm)
	for range 2 {
		x.callAll(ctx, names, "f", 0)
	}
	x.callAll(ctx, names, "dump", 0)
	x.callAll(ctx, names, "null", asked)
	x.callAll(ctx, names, "probe", probed)
	x.callAll(ctx, names, "dump", 0)
	mem := inst.Memory()
	t.MemorySize, t.Memory = len(mem), maphash.Bytes(memorySeed, mem)
	return t
}

// An execution is a module on its way through Execute.
type execution struct {
	inst  Instance
	trace *Trace
	src   *source
}

// callAll calls each export whose name begins so: once, or if n is not 0 for n
// entries of its table.
func (x *execution) callAll(ctx context.Context, names []string, prefix string, n int) {
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if n == 0 {
			x.call(ctx, name, x.args(name))
		}
		for range n {
			x.call(ctx, name, []uint64{uint64(x.src.n(tableMax))})
		}
	}
}

// halves splits the name of an export into the types of its parameters and
// results.
func halves(name string) (in, out string) {
	p := strings.SplitN(name, ":", 3)
	if len(p) < 3 {
		return "", ""
	}
	return p[1], p[2]
}

// args draws arguments.
func (x *execution) args(name string) []uint64 {
	in, _ := halves(name)
	var args []uint64
	for _, l := range in {
		switch l {
		case 'i':
			args = append(args, uint64(uint32(x.src.integer())))
		case 'j':
			args = append(args, x.src.integer())
		case 'f':
			args = append(args, canonical32(uint64(x.src.float32Bits())))
		case 'd':
			args = append(args, canonical64(x.src.float64Bits()))
		case 'v':
			args = append(args, x.src.integer(), x.src.integer())
		case 'r':
			args = append(args, 0)
		case 'x':
			args = append(args, uint64(x.src.n(16)))
		}
	}
	return args
}

// call calls an export and takes down what came of it.
func (x *execution) call(ctx context.Context, name string, args []uint64) {
	c := CallTrace{Func: name, Args: args}
	res, err := x.inst.Call(ctx, name, args)
	if err != nil {
		c.Trap = trapText(err)
	} else {
		c.Results = canonicalResults(name, res)
	}
	c.LogLen = x.trace.Host.Len
	x.trace.Calls = append(x.trace.Calls, c)
}

// canonicalResults takes from results what an engine may choose.
func canonicalResults(name string, res []uint64) []uint64 {
	_, out := halves(name)
	r := append([]uint64(nil), res...)
	at := 0
	for _, l := range out {
		if at >= len(r) {
			break
		}
		switch l {
		case 'i':
			r[at] = uint64(uint32(r[at]))
		case 'f':
			r[at] = canonical32(r[at])
		case 'd':
			r[at] = canonical64(r[at])
		case 'r':
			r[at] = min(r[at], 1)
		case 'v':
			at++
		}
		at++
	}
	return r
}

// traps are the texts by which a trap is known. Tables have one text for all
// that can go wrong, as in wazero.
var traps = []string{
	"out of bounds memory access", "invalid table access", "indirect call type mismatch",
	"integer divide by zero", "integer overflow", "invalid conversion to integer",
	"unreachable", "null reference", "stack overflow", "unaligned atomic", Uncaught,
}

// Uncaught is the text of an exception that leaves an export.
const Uncaught = "uncaught exception"

// trapText is the text of a failure without what depends on the engine.
func trapText(err error) string {
	s := err.Error()
	if strings.HasPrefix(s, "invalid function") { // not a trap: wazero's validator
		return s
	}
	for _, t := range traps {
		if strings.Contains(s, t) {
			return t
		}
	}
	if strings.Contains(s, "null exception reference") {
		return "null reference"
	}
	return s
}

// Refused reports whether the module did not come to run at all: the engine
// refused it, which for a module of Generate is a fault.
func (t *Trace) Refused() bool { return t.Start != "" && !slices.Contains(traps, t.Start) }

// Diff says where b differs first from a; "" is nowhere.
func (a *Trace) Diff(b *Trace) string {
	if a.Start != b.Start {
		return fmt.Sprintf("start: %q, %q", a.Start, b.Start)
	}
	for i := range min(len(a.Host.Log), len(b.Host.Log)) {
		if x, y := a.Host.Log[i], b.Host.Log[i]; x != y {
			return fmt.Sprintf("log entry %d (during %s): %c %#x, %c %#x",
				i, a.callAt(i), x.Kind, x.Bits, y.Kind, y.Bits)
		}
	}
	for i := range min(len(a.Calls), len(b.Calls)) {
		if x, y := fmt.Sprint(a.Calls[i]), fmt.Sprint(b.Calls[i]); x != y {
			return fmt.Sprintf("call %d: %s, %s", i, x, y)
		}
	}
	switch {
	case len(a.Calls) != len(b.Calls):
		return fmt.Sprintf("calls: %d, %d", len(a.Calls), len(b.Calls))
	case a.Host.Len != b.Host.Len || a.Host.Hash != b.Host.Hash:
		return fmt.Sprintf("log: %d entries, hash %#x; %d, %#x", a.Host.Len, a.Host.Hash, b.Host.Len, b.Host.Hash)
	case a.MemorySize != b.MemorySize:
		return fmt.Sprintf("memory size: %d, %d", a.MemorySize, b.MemorySize)
	case a.Memory != b.Memory:
		return fmt.Sprintf("memory: hash %x, %x", a.Memory, b.Memory)
	}
	return ""
}

// callAt names the call that made log entry i.
func (a *Trace) callAt(i int) string {
	for n, c := range a.Calls {
		if i < c.LogLen {
			return fmt.Sprintf("call %d, %s", n, c.Func)
		}
	}
	return "start"
}

// exportedFuncs lists the exported functions of a module that is valid.
func exportedFuncs(wasm []byte) []string {
	var names []string
	r := reader(wasm[len(header):])
	for len(r) > 0 {
		id := r.byte()
		body := reader(r.take(int(r.u())))
		if id != secExport {
			continue
		}
		for range body.u() {
			name := string(body.take(int(body.u())))
			if body.byte() == kindFunc {
				names = append(names, name)
			}
			body.u()
		}
	}
	return names
}

// A reader reads what buf writes, of modules that are known to be valid.
type reader []byte

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) take(n int) []byte {
	b := (*r)[:n]
	*r = (*r)[n:]
	return b
}

func (r *reader) u() (x uint64) {
	for shift := 0; ; shift += 7 {
		b := r.byte()
		x |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return x
		}
	}
}
