package wasm_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// moduleFiles returns the names of all modules that come with wazero.
func moduleFiles(t testing.TB) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(needWazeroDir(t), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".wasm") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 7000 {
		t.Fatalf("%d modules: %v", len(files), err)
	}
	return files
}

// padded reports whether a file is known to have numbers that are longer than
// they need to be outside of function bodies. All others come back from
// Encode byte for byte.
func padded(file string) bool {
	base := filepath.Base(file)
	return strings.HasPrefix(base, "binary-leb128.") || base == "float_literals.1.wasm"
}

func TestRoundTrip(t *testing.T) {
	decoded := 0
	for _, file := range moduleFiles(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wasm.Decode(b)
		if err != nil {
			continue // TestSpec has an eye on those
		}
		decoded++
		out := wasm.Encode(m)
		if !bytes.Equal(out, b) && !padded(file) {
			t.Errorf("%s: %d bytes became %d", file, len(b), len(out))
		}
		again, err := wasm.Decode(out)
		if err != nil {
			t.Errorf("%s: encoded: %v", file, err)
			continue
		}
		if second := wasm.Encode(again); !bytes.Equal(out, second) {
			t.Errorf("%s: encoded twice: %d bytes became %d", file, len(out), len(second))
		}
		if !padded(file) {
			testInstrRoundTrip(t, file, m)
		}
	}
	if decoded < 6500 {
		t.Errorf("%d modules decoded, want 6500 or more", decoded)
	}
}

// testInstrRoundTrip reads all instructions of m, writes them again, and
// reads what was written.
func testInstrRoundTrip(t *testing.T, file string, m *wasm.Module) {
	t.Helper()
	for i := range m.Code {
		first, err := readAll(m.Code[i].Body)
		if err != nil {
			continue
		}
		var body []byte
		for j := range first {
			body = wasm.AppendInstr(body, &first[j])
		}
		second, err := readAll(body)
		if err != nil {
			t.Errorf("%s: body %d: written again: %v", file, i, err)
			continue
		}
		for j := range first {
			first[j].Pos, first[j].End = 0, 0
			second[j].Pos, second[j].End = 0, 0
			if !reflect.DeepEqual(first[j], second[j]) {
				t.Errorf("%s: body %d: instruction %d: %+v became %+v", file, i, j, first[j], second[j])
			}
		}
	}
}

// readAll returns copies of all instructions of body.
func readAll(body []byte) ([]wasm.Instr, error) {
	var out []wasm.Instr
	r := wasm.NewReader(body)
	for {
		var in wasm.Instr
		err := r.Next(&in)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		in.Targets = append([]uint32(nil), in.Targets...)
		in.Types = append([]wasm.ValType(nil), in.Types...)
		in.Catches = append([]wasm.Catch(nil), in.Catches...)
		out = append(out, in)
	}
}
