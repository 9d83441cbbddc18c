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
	if rv.Kind() == reflect.Pointer {
		if rv.IsNil() {
			return nil, errors.New("protostruct: nil pointer")
		}
		rv = rv.Elem()
	} else if rv.IsValid() { // arrays have to be addressable
		p := reflect.New(rv.Type()).Elem()
		p.Set(rv)
		rv = p
	}
	if !rv.IsValid() {
		return nil, errors.New("protostruct: nil")
	}
	p, err := planOf(rv.Type())
	if err != nil {
		return nil, err
	}
	var e encoder
	n := e.size(p, rv)
	if e.err != nil {
		return nil, e.err
	}
	e.buf = make([]byte, 0, n)
	e.message(p, rv)
	if len(e.buf) != n || e.next != len(e.sizes) {
		panic(fmt.Sprintf("protostruct: %v took %d bytes, was measured as %d", rv.Type(), len(e.buf), n))
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
func (e *encoder) size(p *plan, v reflect.Value) (n int) {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		switch f.label {
		case single:
			n += e.sizeSingle(f, fv)
		case optional:
			if !fv.IsNil() {
				n += f.tagSize + e.sizeValue(f, fv.Elem())
			}
		case repeated:
			n += e.sizeRepeated(f, fv)
		}
	}
	return n
}

func (e *encoder) sizeSingle(f *field, v reflect.Value) int {
	switch f.kind {
	case kindBool, kindInt, kindUint:
		x := varint(f.kind, v)
		if x == 0 {
			return 0
		}
		return f.tagSize + protowire.SizeVarint(x)
	case kindArray:
		if v.IsZero() {
			return 0
		}
	case kindMessage:
		if n := e.sizeNested(f.message, v); n > 0 {
			return f.tagSize + protowire.SizeBytes(n)
		}
		return 0
	default:
		if v.Len() == 0 {
			return 0
		}
	}
	return f.tagSize + e.sizeValue(f, v)
}

// sizeValue is the size of a value that is there, without its tag.
func (e *encoder) sizeValue(f *field, v reflect.Value) int {
	switch f.kind {
	case kindMessage:
		return protowire.SizeBytes(e.sizeNested(f.message, v))
	case kindBytes, kindArray, kindString:
		return protowire.SizeBytes(v.Len())
	case kindText:
		if e.err == nil && !utf8.ValidString(v.String()) {
			e.err = fmt.Errorf("%s: %.100q is not UTF-8", f.name, v.String())
		}
		return protowire.SizeBytes(v.Len())
	}
	return protowire.SizeVarint(varint(f.kind, v))
}

func (e *encoder) sizeNested(p *plan, v reflect.Value) int {
	at := len(e.sizes)
	e.sizes = append(e.sizes, 0)
	n := e.size(p, v)
	e.sizes[at] = n
	if n == 0 {
		e.sizes = e.sizes[:at+1]
	}
	return n
}

func (e *encoder) sizeRepeated(f *field, v reflect.Value) (n int) {
	count := v.Len()
	if count == 0 {
		return 0
	}
	if f.kind.isVarint() {
		for i := range count {
			n += protowire.SizeVarint(varint(f.kind, v.Index(i)))
		}
		e.sizes = append(e.sizes, n)
		return f.tagSize + protowire.SizeBytes(n)
	}
	for i := range count {
		n += f.tagSize + e.sizeValue(f, v.Index(i))
	}
	return n
}

// message writes a message.
func (e *encoder) message(p *plan, v reflect.Value) {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		switch f.label {
		case single:
			e.single(f, fv)
		case optional:
			if !fv.IsNil() {
				e.value(f, fv.Elem())
			}
		case repeated:
			e.repeated(f, fv)
		}
	}
}

func (e *encoder) single(f *field, v reflect.Value) {
	switch f.kind {
	case kindBool, kindInt, kindUint:
		if varint(f.kind, v) == 0 {
			return
		}
	case kindArray:
		if v.IsZero() {
			return
		}
	case kindMessage:
		if e.sizes[e.next] == 0 {
			e.next++
			return
		}
	default:
		if v.Len() == 0 {
			return
		}
	}
	e.value(f, v)
}

// value writes a value that is there, with its tag.
func (e *encoder) value(f *field, v reflect.Value) {
	if f.kind.isVarint() {
		e.buf = protowire.AppendTag(e.buf, f.num, protowire.VarintType)
		e.buf = protowire.AppendVarint(e.buf, varint(f.kind, v))
		return
	}
	e.buf = protowire.AppendTag(e.buf, f.num, protowire.BytesType)
	switch f.kind {
	case kindMessage:
		if e.length() > 0 {
			e.message(f.message, v)
		}
	case kindString, kindText:
		e.buf = protowire.AppendString(e.buf, v.String())
	case kindBytes, kindArray:
		e.buf = protowire.AppendBytes(e.buf, v.Bytes())
	}
}

// length takes the next size and writes it.
func (e *encoder) length() int {
	n := e.sizes[e.next]
	e.next++
	e.buf = protowire.AppendVarint(e.buf, uint64(n))
	return n
}

func (e *encoder) repeated(f *field, v reflect.Value) {
	count := v.Len()
	if count == 0 {
		return
	}
	if !f.kind.isVarint() {
		for i := range count {
			e.value(f, v.Index(i))
		}
		return
	}
	e.buf = protowire.AppendTag(e.buf, f.num, protowire.BytesType)
	e.length()
	for i := range count {
		e.buf = protowire.AppendVarint(e.buf, varint(f.kind, v.Index(i)))
	}
}

// varint is a number as the wire has it.
func varint(k kind, v reflect.Value) uint64 {
	switch k {
	case kindBool:
		return protowire.EncodeBool(v.Bool())
	case kindInt:
		return protowire.EncodeZigZag(v.Int())
	}
	return v.Uint()
}
