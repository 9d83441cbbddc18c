package wasm

import "strconv"

// heapNone is the bottom of all heap types. ref.as_non_null and its like give
// a reference to it in unreachable code; modules cannot name it.
const heapNone HeapType = 0xfffff3

// refNone is the type of a reference, known to be not null, to nobody knows what.
const refNone = codeRef | ValType(heapNone)<<8

// RefNull is the type of a reference to ht that may be null.
func RefNull(ht HeapType) ValType {
	switch ht {
	case HeapFunc:
		return FuncRef
	case HeapExtern:
		return ExternRef
	case HeapExn:
		return ExnRef
	}
	return codeRefNull | ValType(ht)<<8
}

// RefTo is the type of a reference to ht that is never null.
func RefTo(ht HeapType) ValType { return codeRef | ValType(ht)<<8 }

// hasHeap reports whether t has a heap type above its low byte.
func (t ValType) hasHeap() bool {
	c := t & 0xff
	return c == codeRef || c == codeRefNull
}

// IsRef reports whether t is a reference type.
func (t ValType) IsRef() bool {
	switch t {
	case FuncRef, ExternRef, ExnRef:
		return true
	}
	return t.hasHeap()
}

// IsNum reports whether t is one of the four number types.
func (t ValType) IsNum() bool { return t >= F64 && t <= I32 }

// Nullable reports whether t is a reference type that includes null.
func (t ValType) Nullable() bool { return t.IsRef() && t&0xff != codeRef }

// HasDefault reports whether there is a value that locals and table elements
// of type t begin with.
func (t ValType) HasDefault() bool { return t&0xff != codeRef }

// NonNull returns the reference type t without null.
func (t ValType) NonNull() ValType { return RefTo(t.Heap()) }

// Heap returns what the reference type t points to.
func (t ValType) Heap() HeapType {
	switch t {
	case FuncRef:
		return HeapFunc
	case ExternRef:
		return HeapExtern
	case ExnRef:
		return HeapExn
	}
	return HeapType(t >> 8)
}

// IsIndex reports whether ht is the index of a type.
func (ht HeapType) IsIndex() bool { return ht < maxTypes }

// String returns t's name in the text format.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case ExnRef:
		return "exnref"
	case Unknown:
		return "unknown"
	}
	switch t & 0xff {
	case codeRefNull:
		return "(ref null " + t.Heap().String() + ")"
	case codeRef:
		return "(ref " + t.Heap().String() + ")"
	}
	return "type " + strconv.FormatUint(uint64(t), 16)
}

// String returns ht's name in the text format.
func (ht HeapType) String() string {
	switch ht {
	case HeapFunc:
		return "func"
	case HeapExtern:
		return "extern"
	case HeapExn:
		return "exn"
	case heapNone:
		return "none"
	}
	return strconv.FormatUint(uint64(ht), 10)
}

// String returns k's name in the text format.
func (k ExternKind) String() string {
	switch k {
	case ExternFunc:
		return "func"
	case ExternTable:
		return "table"
	case ExternMemory:
		return "memory"
	case ExternGlobal:
		return "global"
	case ExternTag:
		return "tag"
	}
	return "kind " + strconv.Itoa(int(k))
}

// oneTypes holds lists of one type, so that the types of most blocks need no
// memory of their own.
var oneTypes = [256][1]ValType{
	I32: {I32}, I64: {I64}, F32: {F32}, F64: {F64}, V128: {V128},
	FuncRef: {FuncRef}, ExternRef: {ExternRef}, ExnRef: {ExnRef},
}

// oneType returns the list that holds t alone. It is shared; do not change it.
func oneType(t ValType) []ValType {
	if t < 256 && oneTypes[t][0] == t {
		return oneTypes[t][:]
	}
	return []ValType{t}
}

// Params and results of a block that has no function type.
func (bt BlockType) short() []ValType {
	if bt.Result == Unknown {
		return nil
	}
	return oneType(bt.Result)
}
