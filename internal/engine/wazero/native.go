package wazero

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"sort"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// What wazero tells of a trap is a text: the functions of 30 frames, and where
// in them only if the whole module was compiled to know, which makes its code a
// quarter larger. All of it is still there after the call, though: the stack that
// the compiled code ran on, and where that code is. So it is read from wazero's
// own variables, by their names and with package reflect alone, which cannot
// change them. A version of wazero that has them otherwise is an error here, and
// stacks are then as good as the text; the tests of package symbols say so.

// A nativeFrame is a place in compiled code.
type nativeFrame struct {
	code  *nativeCode
	index int    // of the function, among those that its module defines
	at    uint64 // bytes from the start of the function's code: a return address, or where it trapped
}

// nativeCode is the code of a module.
type nativeCode struct {
	module  reflect.Value // *compiledModule
	start   uint64        // address
	size    uint64        // bytes
	offsets reflect.Value // of each function, from start
	imports int           // functions that the module imports
}

// recoverReflect makes an error of a panic of package reflect's, the only kind
// that code which looks for fields by name and kind can meet.
func recoverReflect(err *error) {
	if p := recover(); p != nil {
		if e, ok := p.(runtime.Error); ok {
			panic(e) // ours
		}
		*err = fmt.Errorf("wazero is not as this program knows it: %v", p)
	}
}

// field finds a field of a struct, through pointers.
func field(v reflect.Value, path ...string) reflect.Value {
	for _, name := range path {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || !v.FieldByName(name).IsValid() {
			panic(fmt.Sprintf("%v has no %s", v.Kind(), name))
		}
		v = v.FieldByName(name)
	}
	return v
}

// codeOf is the code of the module that a function is of.
func codeOf(f api.Function) (*nativeCode, error) {
	return codeOfModule(func() reflect.Value { return field(reflect.ValueOf(f), "parent", "parent") })
}

// codeOfCompiled is the code of a module that is the only one of its runtime.
func codeOfCompiled(c wazero.CompiledModule) (*nativeCode, error) {
	return codeOfModule(func() reflect.Value {
		all := field(reflect.ValueOf(c), "compiledEngine", "compiledModules").MapRange()
		if !all.Next() {
			panic("an engine without modules")
		}
		return field(all.Value(), "compiledModule")
	})
}

func codeOfModule(find func() reflect.Value) (c *nativeCode, err error) {
	defer recoverReflect(&err)
	m := find()
	code := field(m, "executable")
	c = &nativeCode{
		module: m, start: uint64(code.Pointer()), size: uint64(code.Len()), offsets: field(m, "functionOffsets"),
		imports: int(field(m, "module", "ImportFunctionCount").Uint()),
	}
	_ = c.offset(0, 0)
	return c, nil
}

// offset is where function i begins, or, beyond the last one, limit.
func (c *nativeCode) offset(i int, limit uint64) uint64 {
	if i >= c.offsets.Len() {
		return limit
	}
	return uint64(c.offsets.Index(i).Int())
}

// length is the length of the code of function i, padded.
func (c *nativeCode) length(i int) uint64 { return c.offset(i+1, c.size) - c.offset(i, c.size) }

// frame is the place of an address.
func (c *nativeCode) frame(addr uint64) (f nativeFrame, ok bool) {
	if addr < c.start || addr-c.start >= c.size {
		return f, false
	}
	at := addr - c.start
	i := sort.Search(c.offsets.Len(), func(i int) bool { return c.offset(i, 0) > at }) - 1
	if i < 0 {
		return f, false
	}
	return nativeFrame{c, i, at - c.offset(i, 0)}, true
}

// source is the offset of the instruction that a place belongs to, from the start
// of its function's body in the module. Code that was compiled without debug
// information does not know.
func (c *nativeCode) source(i int, at uint64) (offset int, ok bool, err error) {
	defer recoverReflect(&err)
	from, to := field(c.module, "sourceMap", "executableOffsets"), field(c.module, "sourceMap", "wasmBinaryOffsets")
	start := c.start + c.offset(i, 0)
	search := func(addr uint64) int {
		return sort.Search(from.Len(), func(k int) bool { return from.Index(k).Uint() >= addr })
	}
	first, k := search(start), search(start+at)-1
	if k < first || first >= from.Len() {
		return 0, false, nil
	}
	return int(to.Index(k).Uint() - to.Index(first).Uint()), true, nil // the first entry is that of the body
}

// nativeStack lists the addresses on the stack of a call that has failed,
// innermost first: where it trapped, and the return addresses above.
func nativeStack(f api.Function) (addrs []uint64, err error) {
	defer recoverReflect(&err)
	v := reflect.ValueOf(f)
	stack := field(v, "stack")
	s := stackReader{base: uint64(stack.Pointer()), bytes: stack.Bytes()}
	context := field(v, "execCtx")
	sp := uint64(field(context, "stackPointerBeforeGoCall").Pointer())
	fp := field(context, "framePointerBeforeGoCall").Uint()
	addrs = append(addrs, uint64(field(context, "goCallReturnAddress").Pointer()))
	if runtime.GOARCH == "arm64" {
		return s.arm64(sp, addrs), nil
	}
	return s.amd64(fp, addrs), nil
}

// A stackReader reads the stack of compiled code.
type stackReader struct {
	base  uint64
	bytes []byte
}

func (s *stackReader) word(addr uint64) (v uint64, ok bool) {
	if addr < s.base || addr-s.base+8 > uint64(len(s.bytes)) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(s.bytes[addr-s.base:]), true
}

// amd64 follows the frame pointers: at each are the caller's and the return
// address.
func (s *stackReader) amd64(fp uint64, addrs []uint64) []uint64 {
	for {
		caller, ok1 := s.word(fp)
		addr, ok2 := s.word(fp + 8)
		if !ok1 || !ok2 {
			return addrs
		}
		addrs = append(addrs, addr)
		if caller <= fp {
			return addrs
		}
		fp = caller
	}
}

// arm64 goes from frame to frame by their sizes: of the frame, padding, the
// return address, and the size of arguments and results, which follow.
func (s *stackReader) arm64(sp uint64, addrs []uint64) []uint64 {
	for {
		size, ok := s.word(sp)
		if !ok || size > uint64(len(s.bytes)) {
			return addrs
		}
		sp += size + 16
		addr, ok1 := s.word(sp)
		args, ok2 := s.word(sp + 8)
		if !ok1 || !ok2 || args > uint64(len(s.bytes)) {
			return addrs
		}
		addrs = append(addrs, addr)
		sp += 16 + args
	}
}
