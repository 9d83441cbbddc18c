package interp

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

// Instructions for hand-made bodies.
func in(op wasm.Opcode, imm ...uint64) wasm.Instr {
	x := wasm.Instr{Op: op}
	if len(imm) > 0 {
		x.A = imm[0]
	}
	if len(imm) > 1 {
		x.B = imm[1]
	}
	return x
}

// block is a block, loop or if with at most one result.
func block(op wasm.Opcode, result ...wasm.ValType) wasm.Instr {
	x := wasm.Instr{Op: op, Block: wasm.BlockType{Index: -1}}
	if len(result) > 0 {
		x.Block.Result = result[0]
	}
	return x
}

// blockOf is a block, loop or if of a function type.
func blockOf(op wasm.Opcode, typ int32) wasm.Instr {
	return wasm.Instr{Op: op, Block: wasm.BlockType{Index: typ}}
}

func brTable(targets ...uint32) wasm.Instr { return wasm.Instr{Op: wasm.OpBrTable, Targets: targets} }

// body encodes instructions and the function's end.
func body(list ...wasm.Instr) []byte {
	var b []byte
	for i := range list {
		b = wasm.AppendInstr(b, &list[i])
	}
	return wasm.AppendOp(b, wasm.OpEnd)
}

func types(ts ...wasm.ValType) []wasm.ValType { return ts }

// An instance is a module compiled by wazero.
type instance struct {
	mod api.Module
}

// compile instantiates a module on wazero's compiler.
func compile(t testing.TB, m *wasm.Module) instance {
	t.Helper()
	if err := wasm.Validate(m); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(plain.Features|experimental.CoreFeaturesThreads))
	t.Cleanup(func() { r.Close(ctx) })
	mod, err := r.Instantiate(ctx, wasm.Encode(m))
	if err != nil {
		t.Fatal(err)
	}
	return instance{mod}
}

// trapOf is the text of a trap of wazero's, without what it has around it.
func trapOf(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(first, "wasm error: ")
}

// memory is the memory that is exported as mem, or nil.
func (i instance) memory() []byte {
	m := i.mod.ExportedMemory("mem") // Memory() without one is not nil but panics
	if m == nil {
		return nil
	}
	b, _ := m.Read(0, m.Size())
	return b
}

// prepareAll prepares all functions of a module.
func prepareAll(t testing.TB, m *wasm.Module) []*Code {
	t.Helper()
	if err := wasm.Validate(m); err != nil {
		t.Fatal(err)
	}
	spaces := m.Spaces()
	codes := make([]*Code, len(m.Code))
	for i := range codes {
		var err error
		if codes[i], err = Prepare(m, spaces, i); err != nil {
			t.Fatal(err)
		}
	}
	return codes
}

// A world is an Env of its own.
type world struct {
	mem     []byte
	max     int // pages
	globals []uint64
}

func (w *world) Memory() []byte { return w.mem }

func (w *world) Grow(pages uint32) (old uint32, ok bool) {
	old = uint32(len(w.mem) / pageSize)
	if uint64(old)+uint64(pages) > uint64(w.max) {
		return 0, false
	}
	w.mem = append(slices.Clone(w.mem), make([]byte, int(pages)*pageSize)...)
	return old, true
}

func (w *world) Global(i uint32) uint64       { return w.globals[i] }
func (w *world) SetGlobal(i uint32, v uint64) { w.globals[i] = v }

// enter is the frame at the start of a function.
func enter(c *Code, args ...uint64) *Frame {
	locals := make([]uint64, c.NumLocals())
	copy(locals, args)
	return &Frame{Locals: locals}
}
