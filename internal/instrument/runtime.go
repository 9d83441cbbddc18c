package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// RuntimeModule is the module name from which rewritten modules import what
// the host provides to them. A guest's own import of that name cannot meet it:
// New refuses it.
const RuntimeModule = "stasis:runtime"

// A RuntimeFunc is a function that the host has to provide under RuntimeModule.
type RuntimeFunc struct {
	Name            string
	Params, Results []wasm.ValType
}

// Names of runtime functions. What each is for:
//
//	leaveN   (site, N values)    the last values of a record, and its site; the
//	                             first of an unwind sets mode
//	giveN    (site, N values) 0  the same, with a dummy for the function's result
//	push8, wideN, ref            values of the record, before its leave
//	fetch    (n) value           continuations: wire value n of the record, those
//	                             beyond MaxContParams
//	bulk     (helper, 3 operands) a sliced operation stops: what is left of it.
//	                             Sets mode like a leave
//	dropped  (kind, segment)     a data (0) or element (1) segment was dropped
//	tableX                       the same operation on the shadow of a table
//	throw    (tag, fn, pos)      throws the values of the record; sets mode
//	throw.ref (exn, fn, pos)     throws an exception again; sets mode, or traps if
//	                             exn is null
//	thrown   () tag              what is being thrown
//	caught   ()                  it is caught here; clears mode
//	caught.ref () exn            the same, and it may be thrown again
//	caught.word (n) value        word n of the values of what was caught last
//	caught.item (n) ref          value n of them, an externref
//	passed   (fn)                what is thrown leaves a function that might have
//	                             caught it
const (
	RuntimePush8     = "push8"
	RuntimeRef       = "ref"
	RuntimeFetch     = "fetch"
	RuntimeBulk      = "bulk"
	RuntimeDropped   = "dropped"
	RuntimeTableGet  = "table.get"
	RuntimeTableSet  = "table.set"
	RuntimeTableGrow = "table.grow"
	RuntimeTableFill = "table.fill"
	RuntimeTableCopy = "table.copy"
	RuntimeTableInit = "table.init"

	RuntimeThrow      = "throw"
	RuntimeThrowRef   = "throw.ref"
	RuntimeThrown     = "thrown"
	RuntimeCaught     = "caught"
	RuntimeCaughtRef  = "caught.ref"
	RuntimeCaughtWord = "caught.word"
	RuntimeCaughtItem = "caught.item"
	RuntimePassed     = "passed"
)

// RuntimeFuncs lists all of them.
func RuntimeFuncs() []RuntimeFunc {
	out := make([]RuntimeFunc, numRuntime)
	for i := range out {
		out[i] = runtimeFunc(i).describe()
	}
	return out
}

func repeat(t wasm.ValType, n int) []wasm.ValType {
	ts := make([]wasm.ValType, n)
	for i := range ts {
		ts[i] = t
	}
	return ts
}

func (f runtimeFunc) describe() RuntimeFunc {
	i32s := func(n int) []wasm.ValType { return repeat(wasm.I32, n) }
	i64s := func(n int) []wasm.ValType { return repeat(wasm.I64, n) }
	switch f {
	case runtimePush8:
		return RuntimeFunc{RuntimePush8, i32s(8), nil}
	case runtimeWide1:
		return RuntimeFunc{"wide1", i64s(1), nil}
	case runtimeWide2:
		return RuntimeFunc{"wide2", i64s(2), nil}
	case runtimeWide4:
		return RuntimeFunc{"wide4", i64s(4), nil}
	case runtimeRef1:
		return RuntimeFunc{RuntimeRef, []wasm.ValType{wasm.ExternRef}, nil}
	case runtimeFetch:
		return RuntimeFunc{RuntimeFetch, i32s(1), i64s(1)}
	case runtimeBulk:
		return RuntimeFunc{RuntimeBulk, i32s(4), nil}
	case runtimeDropped:
		return RuntimeFunc{RuntimeDropped, i32s(2), nil}
	case runtimeTableGet:
		return RuntimeFunc{RuntimeTableGet, i32s(2), i32s(1)}
	case runtimeTableSet:
		return RuntimeFunc{RuntimeTableSet, i32s(3), nil}
	case runtimeTableGrow:
		return RuntimeFunc{RuntimeTableGrow, i32s(4), nil}
	case runtimeTableFill:
		return RuntimeFunc{RuntimeTableFill, i32s(4), nil}
	case runtimeTableCopy:
		return RuntimeFunc{RuntimeTableCopy, i32s(5), nil}
	case runtimeTableInit:
		return RuntimeFunc{RuntimeTableInit, i32s(5), nil}
	case runtimeThrow:
		return RuntimeFunc{RuntimeThrow, i32s(3), nil}
	case runtimeThrowRef:
		return RuntimeFunc{RuntimeThrowRef, []wasm.ValType{wasm.ExternRef, wasm.I32, wasm.I32}, nil}
	case runtimeThrown:
		return RuntimeFunc{RuntimeThrown, nil, i32s(1)}
	case runtimeCaught:
		return RuntimeFunc{RuntimeCaught, nil, nil}
	case runtimeCaughtRef:
		return RuntimeFunc{RuntimeCaughtRef, nil, []wasm.ValType{wasm.ExternRef}}
	case runtimeCaughtWord:
		return RuntimeFunc{RuntimeCaughtWord, i32s(1), i64s(1)}
	case runtimeCaughtItem:
		return RuntimeFunc{RuntimeCaughtItem, i32s(1), []wasm.ValType{wasm.ExternRef}}
	case runtimePassed:
		return RuntimeFunc{RuntimePassed, i32s(1), nil}
	case runtimeWait32, runtimeWait64, runtimeNotify, runtimeGrow:
		return f.describeThread()
	}
	if f >= runtimeGive0 {
		n := int(f - runtimeGive0)
		return RuntimeFunc{"give" + string(rune('0'+n)), i32s(n + 1), i32s(1)}
	}
	n := int(f - runtimeLeave0)
	return RuntimeFunc{"leave" + string(rune('0'+n)), i32s(n + 1), nil}
}
