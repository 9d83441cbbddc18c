package wasmgen

// ExportedFuncs lists the exported functions of a module.
func ExportedFuncs(wasm []byte) []string { return exportedFuncs(wasm) }
