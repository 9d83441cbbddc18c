package protostruct

import (
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Marshal encodes a struct, or what a pointer to one points to. It fails for
// texts that are not UTF-8; a type that cannot be encoded is an error as well.
func Marshal(v any) ([]byte, error) {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() || rv.Kind() == reflect.Pointer && rv.IsNil() {
		return nil, errors.New("protostruct: nil")
	}
	if rv.Kind() != reflect.Pointer {
		p := reflect.New(rv.Type())
		p.Elem().Set(rv)
		rv = p
	}
	p, err := planOf(rv.Type().Elem())
	if err != nil {
		return nil, err
	}
	var e encoder
	n := e.size(p, value{rv.UnsafePointer()})
	if e.err != nil {
		return nil, e.err
	}
	e.buf = make([]byte, 0, n)
	e.message(p, value{rv.UnsafePointer()})
	if len(e.buf) != n || e.next != len(e.sizes) {
		panic(fmt.Sprintf("protostruct: %v took %d bytes, was measured as %d", p.typ, len(e.buf), n))
	}
	return e.buf, nil
}

// An encoder measures a value, then writes it into one buffer. Sizes are those
// of nested messages and packed lists, in the order in which both passes come
// to them: what is below an empty one has none.
type encoder struct {
	sizes []int
	next  int // of sizes, while writing
	buf   []byte
	err   error
}

// size is the length of a message.
func (e *encoder) size(p *plan, v value) (n int) {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.field(f)
		switch f.label {
		case single:
			n += e.sizeSingle(f, fv)
		case optional:
			if to, ok := fv.pointer(); ok {
				n += len(f.tag) + e.sizeValue(f, to)
			}
		case repeated:
			n += e.sizeRepeated(f, fv)
		}
	}
	return n
}

func (e *encoder) sizeSingle(f *field, v value) int {
	switch f.kind {
	case kindBool, kindInt, kindUint:
		x := v.number(f)
		if x == 0 {
			return 0
		}
		return len(f.tag) + protowire.SizeVarint(x)
	case kindArray:
		if isZero(v.bytes(f)) {
			return 0
		}
	case kindMessage:
		if n := e.sizeNested(f.message, v); n > 0 {
			return len(f.tag) + protowire.SizeBytes(n)
		}
		return 0
	default:
		if len(v.bytes(f)) == 0 {
			return 0
		}
	}
	return len(f.tag) + e.sizeValue(f, v)
}

// sizeValue is the size of a value that is there, without its tag.
func (e *encoder) sizeValue(f *field, v value) int {
	switch f.kind {
	case kindMessage:
		return protowire.SizeBytes(e.sizeNested(f.message, v))
	case kindBytes, kindArray, kindString:
		return protowire.SizeBytes(len(v.bytes(f)))
	case kindText:
		if e.err == nil && !utf8.Valid(v.bytes(f)) {
			e.err = fmt.Errorf("%s: %.100q is not UTF-8", f.name, v.bytes(f))
		}
		return protowire.SizeBytes(len(v.bytes(f)))
	}
	return protowire.SizeVarint(v.number(f))
}

func (e *encoder) sizeNested(p *plan, v value) int {
	at := len(e.sizes)
	e.sizes = append(e.sizes, 0)
	n := e.size(p, v)
	e.sizes[at] = n
	if n == 0 {
		e.sizes = e.sizes[:at+1]
	}
	return n
}

func (e *encoder) sizeRepeated(f *field, v value) (n int) {
	first, count := v.elements()
	if count == 0 {
		return 0
	}
	if f.kind.isVarint() {
		for i := range count {
			n += protowire.SizeVarint(first.at(f, i).number(f))
		}
		e.sizes = append(e.sizes, n)
		return len(f.tag) + protowire.SizeBytes(n)
	}
	for i := range count {
		n += len(f.tag) + e.sizeValue(f, first.at(f, i))
	}
	return n
}

// message writes a message.
func (e *encoder) message(p *plan, v value) {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.field(f)
		switch f.label {
		case single:
			e.single(f, fv)
		case optional:
			if to, ok := fv.pointer(); ok {
				e.value(f, to)
			}
		case repeated:
			e.repeated(f, fv)
		}
	}
}

func (e *encoder) single(f *field, v value) {
	switch f.kind {
	case kindBool, kindInt, kindUint:
		if x := v.number(f); x != 0 {
			e.tag(f)
			e.varint(x)
		}
		return
	case kindArray:
		if isZero(v.bytes(f)) {
			return
		}
	case kindMessage:
		if e.sizes[e.next] == 0 {
			e.next++
			return
		}
	default:
		if len(v.bytes(f)) == 0 {
			return
		}
	}
	e.value(f, v)
}

// value writes a value that is there, with its tag.
func (e *encoder) value(f *field, v value) {
	e.tag(f)
	switch {
	case f.kind.isVarint():
		e.varint(v.number(f))
	case f.kind != kindMessage:
		e.buf = protowire.AppendBytes(e.buf, v.bytes(f))
	case e.length() > 0:
		e.message(f.message, v)
	}
}

// length takes the next size and writes it.
func (e *encoder) length() int {
	n := e.sizes[e.next]
	e.next++
	e.varint(uint64(n))
	return n
}

func (e *encoder) tag(f *field) {
	e.buf = append(e.buf, f.tag[0])
	if len(f.tag) > 1 {
		e.buf = append(e.buf, f.tag[1:]...)
	}
}

func (e *encoder) varint(x uint64) {
	if x < 0x80 {
		e.buf = append(e.buf, byte(x))
		return
	}
	e.buf = protowire.AppendVarint(e.buf, x)
}

func (e *encoder) repeated(f *field, v value) {
	first, count := v.elements()
	if count == 0 {
		return
	}
	if !f.kind.isVarint() {
		for i := range count {
			e.value(f, first.at(f, i))
		}
		return
	}
	e.tag(f)
	e.length()
	for i := range count {
		e.varint(first.at(f, i).number(f))
	}
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
