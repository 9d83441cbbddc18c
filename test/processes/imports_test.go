package processes

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/wasm"
)

func typeOf(params, results []wasm.ValType) string { return fmt.Sprint(params, results) }

// calls are all there are, by module and name.
func calls() map[string]kernel.Call {
	out := map[string]kernel.Call{}
	for _, c := range wasi.Calls(wasi.Options{}) {
		out[c.Module+"."+c.Name] = c
	}
	return out
}

// Programs import nothing but calls that there are, with their types.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) < 14 {
		t.Fatalf("%d modules: %v", len(files), err)
	}
	have := calls()
	for _, file := range files {
		m, err := wasm.Decode([]byte(read(t, file)))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, im := range m.Imports {
			if im.Kind != wasm.ExternFunc {
				continue
			}
			c, ok := have[im.Module+"."+im.Name]
			if !ok {
				t.Errorf("%s: import %s.%s: there is no such call", file, im.Module, im.Name)
				continue
			}
			if got, want := typeOf(m.Types[im.Type].Params, m.Types[im.Type].Results), typeOf(c.Params, c.Results); got != want {
				t.Errorf("%s: import %s.%s: type %s, want %s", file, im.Module, im.Name, got, want)
			}
		}
	}
}

var declaration = regexp.MustCompile(`(?m)^(WASIX|WASI|STASIS)\((\w+)\) (?:_Noreturn )?(\w+) \w+\((.*)\);$`)

// declared is the type of a declaration of the headers: what is no pointer and
// has 64 bits is an i64.
func declared(result, params string) string {
	var p, r []wasm.ValType
	for _, param := range strings.Split(params, ", ") {
		switch {
		case param == "void":
		case strings.HasPrefix(param, "uint64_t ") && !strings.Contains(param, "*"):
			p = append(p, wasm.I64)
		default:
			p = append(p, wasm.I32)
		}
	}
	if result != "void" {
		r = append(r, wasm.I32)
	}
	return typeOf(p, r)
}

// The headers declare the calls as they are, and wasix.h all of WASIX.
func TestHeaders(t *testing.T) {
	have := calls()
	seen := map[string]bool{}
	for header, module := range map[string]string{"wasix.h": wasi.ModuleWASIX, "wasi.h": wasi.Module, "stasis.h": wasi.ModuleStasis} {
		for _, d := range declaration.FindAllStringSubmatch(read(t, filepath.Join(lib, header)), -1) {
			name := d[2]
			seen[module+"."+name] = true
			c, ok := have[module+"."+name]
			if !ok {
				t.Errorf("%s: %s: there is no such call", header, name)
				continue
			}
			if got, want := declared(d[3], d[4]), typeOf(c.Params, c.Results); got != want {
				t.Errorf("%s: %s: declared %s, is %s", header, name, got, want)
			}
		}
	}
	if len(seen) < 94+25 {
		t.Fatalf("%d declarations found", len(seen))
	}
	aliases := map[string]bool{"thread_spawn": true, "sock_accept": true}
	for name, c := range have {
		of, _ := have[wasi.Module+"."+c.Name]
		preview1 := have[wasi.ModuleUnstable+"."+c.Name].Name != "" // WASIX's own are not there
		if c.Module == wasi.ModuleWASIX && of.Name != "" && !preview1 && !aliases[c.Name] && !seen[name] {
			t.Errorf("wasix.h: %s is not declared", c.Name)
		}
		if c.Module == wasi.ModuleStasis && !seen[name] {
			t.Errorf("stasis.h: %s is not declared", c.Name)
		}
	}
}
