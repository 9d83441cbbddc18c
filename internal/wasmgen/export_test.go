package wasmgen

// CountOps makes Generate count the instructions that it writes in seen and,
// with mark, those that run (see Marks).
func CountOps(cfg Config, seen map[uint32]int, mark bool) Config {
	cfg.seen, cfg.mark = seen, mark
	return cfg
}

// Marks says which instructions ran, and how often.
func Marks(h *Host) map[uint32]int { return h.marks }

// AllOps lists the instructions that modules are made of.
func AllOps() []uint32 {
	ops := append([]uint32(nil), controlOps...)
	for _, o := range opTable {
		ops = append(ops, o.code)
	}
	return ops
}

// ExportedFuncs lists the exported functions of a module.
func ExportedFuncs(wasm []byte) []string { return exportedFuncs(wasm) }
