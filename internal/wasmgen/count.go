package wasmgen

// CountOps makes Generate count the instructions that it writes in seen, if
// that is not nil, and with mark those that run (see Marks): such a module
// imports one function more.
func CountOps(cfg Config, seen map[uint32]int, mark bool) Config {
	cfg.seen, cfg.mark = seen, mark
	return cfg
}

// Marks says which instructions ran, and how often.
func Marks(h *Host) map[uint32]int { return h.marks }

// AllOps lists the codes of instructions that modules are made of.
func AllOps() []uint32 {
	ops := append([]uint32(nil), controlOps...)
	for _, o := range opTable {
		ops = append(ops, o.code)
	}
	return ops
}
