// Package wasmgen makes random modules for differential tests: a module runs
// on two engines (plain, and rewritten with stops forced here and there), and
// the two runs have to give the same Trace.
//
// Every module is valid and ends. Ends, because a mutable global holds fuel
// that function entries and loop heads burn; without fuel a function returns
// (or traps) at once, so a run takes at most fuel × the longest body. Its
// values do not depend on the bits of a NaN, which an engine may choose:
// floats are made canonical where their bits would show (Config.RawNaN turns
// that off).
//
// A module imports the functions of Host from "env" and exports
//
//	fN:params:results   functions to call, in this order, with any arguments
//	probeN:i:i          calls entry i of table N as a function without
//	                    parameters that returns an i32
//	dump::              logs all globals, and the null-ness of table entries
//	mem, gN, tN         memory, globals and tables
//
// The letters of a signature are i, j (i64), f, d, v (v128), r (funcref) and
// x (externref). Execute does all that and returns the Trace.
//
// What is valid but wazero 1.12 gets wrong is left out, since it would show as
// a difference that is no fault of the pass. TestWazeroFaults lists it, and
// fails when a later version is right.
//
// The package has an instruction table and an encoder of its own, so that a
// fault of package wasm can't hide itself.
package wasmgen

// A Feature is a family of instructions that a Config can leave out.
type Feature uint

// Features.
const (
	SIMD Feature = 1 << iota
	TailCalls
	TypedRefs     // call_ref, br_on_null, …, and types (ref null? $t)
	ExtendedConst // arithmetic in constant expressions
	Exceptions    // throw, and what catches
	ExnRefs       // exnref as the type of locals, globals, tables, parameters
	Atomics       // atomic instructions, and shared memory
)

// Config sets up Generate. The zero value works.
type Config struct {
	Fuel    int     // loop iterations and calls of each exported call; 0 is 1,000. A call burns more with more locals, so that stacks stay small.
	Size    int     // instructions of a function, about; 0 is 60. One in 50 functions is 40 times as large.
	Funcs   int     // generated functions, at most; 0 is 6
	Without Feature // families that are left out

	Encoding Encoding // of exceptions
	RawNaN   bool     // let the bits of NaNs show

	mark bool // call env.mark before each instruction with its code
	seen map[uint32]int
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Fuel == 0 {
		c.Fuel = 1000
	}
	if c.Size == 0 {
		c.Size = 60
	}
	if c.Funcs == 0 {
		c.Funcs = 6
	}
	return c
}

// Generate makes the module that entropy stands for. What is missing of it
// reads as zeros, which choose what is simplest, so that short entropy gives
// small modules: it suits a fuzzer that mutates it.
func Generate(entropy []byte, cfg Config) []byte {
	return generate(&source{data: entropy}, cfg.withDefaults())
}

// GenerateSeed makes the module of a seed.
func GenerateSeed(seed uint64, cfg Config) []byte {
	return generate(&source{state: seed, endless: true}, cfg.withDefaults())
}

// A Choices is what made a module, one number a choice. It makes the same
// program in any encoding; what is missing of it reads as zeros.
type Choices []uint32

// NoteSeed returns the choices of a seed.
func NoteSeed(seed uint64, cfg Config) Choices {
	src := &source{state: seed, endless: true, note: true}
	generate(src, cfg.withDefaults())
	return src.noted
}

// GenerateChoices makes the module of choices.
func GenerateChoices(c Choices, cfg Config) []byte {
	return generate(&source{replayed: true, choices: c}, cfg.withDefaults())
}

// generate plans a module, writes its bodies and encodes it.
func generate(src *source, cfg Config) []byte {
	g := &gen{cfg: cfg, src: src, typeIndex: map[string]uint32{}}
	g.plan()
	g.writeBodies()
	g.writeExports()
	return g.encode()
}
