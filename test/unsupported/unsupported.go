// Package unsupported has a module for each thing that Stasis refuses, and holds
// doc/unsupported.md to what the stasis command says of it.
package unsupported

import (
	"bytes"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A Case is a thing that is refused.
type Case struct {
	Name   string // of the file
	What   string // for people: what it is, and what makes it
	Module []byte
}

// module is a module of sections as bytes: an id, then the content, each.
func module(sections ...any) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for i := 0; i+1 < len(sections); i += 2 {
		content := sections[i+1].(string)
		b = append(b, byte(sections[i].(int)))
		b = wasm.AppendU32(b, uint32(len(content)))
		b = append(b, content...)
	}
	return b
}

// body is a module with one function, of these instructions.
func body(code string) []byte {
	f := "\x00" + code + "\x0b"
	return module(1, "\x01\x60\x00\x00", 3, "\x01\x00", 5, "\x01\x00\x01", 10, "\x01"+string(wasm.AppendU32(nil, uint32(len(f))))+f)
}

// name is a name as the binary format has it.
func name(s string) string { return string(wasm.AppendU32(nil, uint32(len(s)))) + s }

// imports is a module that imports one thing: desc is its kind and type.
func imports(from, what, desc string) []byte {
	return module(1, "\x01\x60\x00\x00", 2, "\x01"+name(from)+name(what)+desc)
}

// function describes an import of the only type.
const function = "\x00\x00"

// Cases are all that is refused, in the order of the document.
func Cases() []Case {
	many := wasm.Module{Types: []wasm.FuncType{{Params: bytesOf(wasm.I32, 901)}}}
	nested := append(bytes.Repeat([]byte{0x02, 0x40}, 20001), bytes.Repeat([]byte{0x0b}, 20001)...)
	return []Case{
		{"component", "a component (WASI preview 2 and later: `wasm32-wasip2`, componentize-py, jco)", []byte("\x00asm\x0d\x00\x01\x00")},
		{"memory64", "64-bit memories (`wasm64`)", module(5, "\x01\x04\x01")},
		{"table64", "64-bit tables", module(4, "\x01\x70\x04\x01")},
		{"memories", "more than one memory", module(5, "\x02\x00\x01\x00\x01")},
		{"page-size", "custom page sizes", module(5, "\x01\x08\x01\x00")},
		{"gc", "garbage-collected types (Kotlin, Dart, Java, OCaml)", module(1, "\x01\x5f\x00")},
		{"gc-code", "their instructions", body("\xfb\x1c")},
		{"relaxed-simd", "relaxed SIMD", body("\xfd\x80\x02")},
		{"wide-arithmetic", "wide arithmetic", body("\xfc\x13")},
		{"stack-switching", "stack switching", body("\xe0\x00")},
		{"shared-everything", "shared-everything threads", body("\xfe\x4f\x00")},
		{"import-memory", "an imported memory (`--import-memory`)", imports("env", "memory", "\x02\x00\x01")},
		{"import-table", "an imported table (dynamic linking, `--import-table`)", imports("env", "__indirect_function_table", "\x01\x70\x00\x01")},
		{"import-global", "an imported global (dynamic linking: `-fPIC`, `-shared`)", imports("GOT.mem", "stdout", "\x03\x7f\x01")},
		{"import-tag", "an imported tag of exceptions", imports("env", "__cpp_exception", "\x04\x00\x00")},
		{"emscripten", "a function for Emscripten's JavaScript, or one that was not linked", imports("env", "emscripten_memcpy_js", function)},
		{"emscripten-minified", "the same, made small", imports("a", "b", function)},
		{"wasm-bindgen", "wasm-bindgen (Rust for browsers)", imports("wbg", "__wbindgen_throw", function)},
		{"go-js", "Go for browsers (`GOOS=js`)", imports("gojs", "runtime.wasmExit", function)},
		{"preview2", "the core of a component", imports("wasi:cli/stdout@0.2.0", "get-stdout", function)},
		{"wasix", "a call that WASIX has no more (`bus_*`, `http_*`), or of another type", imports("wasix_32v1", "bus_open_local", function)},
		{"wasix64", "WASIX of 64 bits", imports("wasix_64v1", "fd_dup", function)},
		{"stasis", "a call of a later version's", imports("stasis_1", "nothing_yet", function)},
		{"addition", "other runtimes' additions to WASI (WasmEdge's sockets)", imports("wasi_snapshot_preview1", "sock_open", function)},
		{"wrong-type", "a WASI function of another type", imports("wasi_snapshot_preview1", "fd_close", function)},
		{"host", "a host's own functions (plugins)", imports("plugin", "log", function)},
		{"reserved", "the runtime's own name", imports("stasis:runtime", "x", function)},
		{"reactor", "a reactor, or a library, without `--invoke`", module(1, "\x01\x60\x00\x00", 3, "\x01\x00", 7, "\x01"+name("_initialize")+"\x00\x00", 10, "\x01\x02\x00\x0b")},
		{"library", "a module that exports no function to start with", module()},
		{"start-type", "a `_start` that takes arguments", module(1, "\x01\x60\x01\x7f\x00", 3, "\x01\x00", 7, "\x01"+name("_start")+"\x00\x00", 10, "\x01\x02\x00\x0b")},
		{"parameters", "functions of more than 900 parameters or results", wasm.Encode(&many)},
		{"nesting", "blocks nested deeper than 20,000", body(string(nested))},
		{"table", "tables of more than 10,000,000 elements", module(4, "\x01\x70\x00\x80\x94\xeb\xdc\x03")},
		{"text", "the text format", []byte("(module)\n")},
	}
}

func bytesOf(t wasm.ValType, n int) []wasm.ValType {
	out := make([]wasm.ValType, n)
	for i := range out {
		out[i] = t
	}
	return out
}
