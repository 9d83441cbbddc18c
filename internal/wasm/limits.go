package wasm

// What a module may have at most. Decode and Validate refuse more, however
// large the file: the memory they use stays within a small multiple of the
// file's size. They are the limits that browsers have agreed on, or higher.
const (
	maxTypes     = 1_000_000
	maxImports   = 1_000_000
	maxFuncs     = 1_000_000
	maxTables    = 100_000
	maxMemories  = 100 // Validate allows one; more are told apart from nonsense
	maxTags      = 1_000_000
	maxGlobals   = 1_000_000
	maxExports   = 1_000_000
	maxElems     = 1_000_000  // segments
	maxElemItems = 10_000_000 // in a segment
	maxData      = 1_000_000  // segments

	maxParams  = 1_000
	maxResults = 1_000
	maxLocals  = 50_000 // of a function, with its parameters

	maxOperands = 1_000_000 // operand stack of a function
	maxBlocks   = 1_000_000 // open at a time

	maxPages     = 1 << 16   // of a memory
	maxTableSize = 1<<32 - 1 // as the format has it; what fits is the engine's to say
)
