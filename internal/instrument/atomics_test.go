package instrument

import (
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// memories counts the memories that a module imports and defines.
func memories(t *testing.T, b []byte) (imported, defined int, shared bool) {
	t.Helper()
	m, err := wasm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := m.MemoryType()
	return m.NumImports(wasm.ExternMemory), len(m.Memories), l.Shared
}

// A memory that is not shared belongs to the hot form, as it did to the module:
// an imported one would cost each access a load. A shared one is imported by
// the hot form and by continuations, however the module came by it.
func TestSharedMemoryIsImported(t *testing.T) {
	loop := wasm.AppendBlockType(wasm.AppendOp(nil, wasm.OpLoop), wasm.BlockType{Index: -1})
	loop = wasm.AppendOp(wasm.AppendU32(wasm.AppendOp(loop, wasm.OpBr), 0), wasm.OpEnd)
	loop = wasm.AppendOp(loop, wasm.OpEnd)
	for _, tt := range []struct {
		name     string
		memories []wasm.Limits
		imports  []wasm.Import
		shared   bool
	}{
		{"own", []wasm.Limits{{Min: 1, Max: 2, HasMax: true}}, nil, false},
		{"shared", []wasm.Limits{{Min: 1, Max: 2, HasMax: true, Shared: true}}, nil, true},
		{"imported", nil, []wasm.Import{{Module: "env", Name: "memory", Kind: wasm.ExternMemory,
			Memory: wasm.Limits{Min: 1, Max: 65536, HasMax: true, Shared: true}}}, true},
	} {
		p, err := New(wasm.Encode(&wasm.Module{
			Types: []wasm.FuncType{{}}, Funcs: []uint32{0}, Memories: tt.memories, Imports: tt.imports,
			Code: []wasm.Code{{Body: loop}}, Exports: []wasm.Export{{Name: "f", Kind: wasm.ExternFunc}},
		}), Options{})
		if err != nil {
			t.Fatal(err)
		}
		hot, err := p.Hot()
		if err != nil {
			t.Fatal(err)
		}
		conts, err := p.Continuation(SiteID(p.NumSites() - 1))
		if err != nil {
			t.Fatal(err)
		}
		imported, defined, shared := memories(t, hot)
		if (imported == 1) != tt.shared || (defined == 0) != tt.shared || shared != tt.shared || p.SharedMemory() != tt.shared {
			t.Errorf("%s: hot form imports %d, defines %d, shared %v", tt.name, imported, defined, shared)
		}
		if n, d, s := memories(t, conts); n != 1 || d != 0 || s != tt.shared {
			t.Errorf("%s: continuation imports %d, defines %d, shared %v", tt.name, n, d, s)
		}
		if tt.shared {
			if l := p.SharedLimits(); l.Max > maxPages {
				t.Errorf("%s: %d pages at most; the engine has %d", tt.name, l.Max, maxPages)
			}
		}
	}
}
