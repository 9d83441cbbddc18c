package sandbox

import (
	"errors"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/wasm"
)

// featureRemedies say, of features of WebAssembly that are refused by name, what
// to do instead.
var featureRemedies = [...]struct{ feature, remedy string }{
	{"components", "this is a component, not a module: build the program for wasm32-wasip1"},
	{"memory64", "build the program for wasm32, not wasm64"},
	{"table64", "build the program for wasm32, not wasm64"},
	{"multi-memory", "build the program with one memory"},
	{"garbage collection", "build the program for linear memory: compilers of Kotlin, Dart or Java need garbage collection"},
	{"relaxed SIMD", "build the program without -mrelaxed-simd; plain SIMD is supported"},
	{"wide arithmetic", "build the program without -mwide-arithmetic"},
	{"shared-everything threads", "build the program without threads"},
	{"stack switching", "build the program without it"},
	{"custom page sizes", "build the program with pages of 64 KiB"},
}

// featureRemedy is what to do about a feature that is not supported.
func featureRemedy(err error) string {
	var e *wasm.Error
	if errors.As(err, &e) {
		for _, r := range featureRemedies {
			if r.feature == e.Feature {
				return r.remedy
			}
		}
	}
	return "build the program without it"
}

// importRemedies say, of modules that something is imported from, what the
// program was built for. A name that ends in a star stands for all that begin so.
var importRemedies = []struct {
	modules string // with spaces between them
	remedy  string
}{
	{wasi.Module + " " + wasi.ModuleUnstable, "neither WASI preview 1 nor WASIX has it, or not so: build the program for wasm32-wasip1; stasis syscalls lists what there is"},
	{"wasi:*", "it is a part of a component: build the program for wasm32-wasip1"},
	{wasi.ModuleWASIX, "WASIX has it not, or not so: build the program with a wasix-libc of 2023 or later; stasis syscalls lists what there is"},
	{"wasix_64v1", "build the program for wasm32, not wasm64"},
	{wasi.ModuleStasis, "a later version of stasis may have it: stasis syscalls lists what there is"},
	{"wasi", "of wasi-threads there is thread-spawn: build the program for wasm32-wasip1-threads"},
	{"wbg __wbindgen_* ./* js gojs go rb-js-abi-host canonical_abi asyncify a",
		"it was built for a JavaScript host: build the program for wasm32-wasip1"},
	{"GOT.* env", "it was built for a JavaScript host, or some of its code was not linked: build the program for wasm32-wasip1, linked as one module"},
}

// importRemedy is what to do about an import that nobody provides.
func importRemedy(e *kernel.ImportError) string {
	for _, r := range importRemedies {
		if slices.ContainsFunc(strings.Fields(r.modules), func(name string) bool { return matches(name, e.Module) }) {
			return r.remedy
		}
	}
	return "stasis provides WASI preview 1 and WASIX: build the program for wasm32-wasip1"
}

func matches(pattern, name string) bool {
	if begin, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, begin)
	}
	return pattern == name
}
