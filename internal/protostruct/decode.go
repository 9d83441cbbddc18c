package protostruct

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// An Error says where in a message something is wrong.
type Error struct {
	Path string // "kernel.processes[0].tasks[2].id"; "" is the whole
	Err  error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// in puts the name of what holds a field in front of its path.
func (e *Error) in(name string) *Error {
	if e.Path != "" && e.Path[0] != '[' {
		name += "."
	}
	name += e.Path
	return &Error{name, e.Err}
}

func errorf(format string, args ...any) *Error { return &Error{Err: fmt.Errorf(format, args...)} }

// Unmarshal makes *v, a struct, what b says. Nothing of what it held before is
// left; after an error it is zero. It keeps b: a []byte in v is a part of b, so
// whoever writes to one has to copy it before. Strings are copies.
func Unmarshal(b []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return errors.New("protostruct: Unmarshal needs a pointer to a struct")
	}
	rv = rv.Elem()
	p, err := planOf(rv.Type())
	if err != nil {
		return err
	}
	rv.SetZero()
	d := decoder{left: freeMemory + memoryPerByte*int64(len(b))}
	if err := d.message(p, b, value{rv.Addr().UnsafePointer()}); err != nil {
		rv.SetZero()
		return err
	}
	return nil
}

// A decoder counts the elements of a message's repeated fields before it makes
// them, so that they take as much as they need.
type decoder struct {
	counts []int // for each field of the messages in progress: elements still to come
	left   int64 // bytes of memory that elements may still take
}

// An element is two bytes if all of it is zero, and may take hundreds in memory.
// So lists take freeMemory bytes, and memoryPerByte more for each byte of the
// message: of what Marshal makes, elements are not that much larger.
const (
	freeMemory    = 64 << 20
	memoryPerByte = 8
)

// take refuses a list that takes too much memory.
func (d *decoder) take(f *field, n int) *Error {
	if d.left -= int64(n) * int64(f.size); d.left < 0 {
		return errorf("%d elements of %d bytes: more than a message of this size holds", n, f.size)
	}
	return nil
}

// message reads a message into v, which is zero.
func (d *decoder) message(p *plan, b []byte, v value) *Error {
	base := len(d.counts)
	if p.repeated {
		if err := d.count(p, b); err != nil {
			return err
		}
	}
	var seen uint64 // by index of the field
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errorf("tag: %w", parseError(n))
		}
		b = b[n:]
		i := p.index(num)
		if i < 0 {
			if b, n = skip(b, num, typ); n < 0 {
				return errorf("field %d: %w", num, wireError(typ, n))
			}
			continue
		}
		f := &p.fields[i]
		again := seen&(1<<i) != 0
		seen |= 1 << i
		var data []byte
		var x uint64
		switch want := f.wireType(); {
		case typ != want:
			return errorf("wire type %d, want %d", typ, want).in(f.name)
		case typ == protowire.VarintType:
			x, n = protowire.ConsumeVarint(b)
		default:
			data, n = protowire.ConsumeBytes(b)
		}
		if n < 0 {
			return errorf("%w", parseError(n)).in(f.name)
		}
		b = b[n:]
		fv := v.field(f)
		if f.label == repeated && !f.kind.isVarint() {
			first, count := fv.elements()
			if !again {
				count = d.counts[base+i]
				if err := d.take(f, count); err != nil {
					return err.in(f.name)
				}
				first = fv.makeSlice(f, count)
			}
			at := count - d.counts[base+i]
			d.counts[base+i]--
			if err := d.value(f, data, first.at(f, at)); err != nil {
				return err.in(fmt.Sprintf("%s[%d]", f.name, at))
			}
			continue
		}
		if again {
			return errorf("is there twice").in(f.name)
		}
		if err := d.field(f, x, data, fv); err != nil {
			return err.in(f.name)
		}
	}
	d.counts = d.counts[:base]
	return nil
}

// count puts the number of elements of each repeated field of b on d.counts.
func (d *decoder) count(p *plan, b []byte) *Error {
	base := len(d.counts)
	for range p.fields {
		d.counts = append(d.counts, 0)
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errorf("tag: %w", parseError(n))
		}
		if b, n = skip(b[n:], num, typ); n < 0 {
			err := &Error{Err: wireError(typ, n)}
			if i := p.index(num); i >= 0 {
				return err.in(p.fields[i].name)
			}
			return errorf("field %d: %w", num, err)
		}
		if i := p.index(num); i >= 0 && typ == protowire.BytesType {
			d.counts[base+i]++
		}
	}
	return nil
}

// index returns the index of the field with this number, or -1.
func (p *plan) index(num protowire.Number) int {
	if uint64(num) < uint64(len(p.byNum)) {
		return int(p.byNum[num])
	}
	return -1
}

// skip returns what follows the value of a field; n is negative if it is none.
func skip(b []byte, num protowire.Number, typ protowire.Type) (rest []byte, n int) {
	if typ == protowire.StartGroupType || typ == protowire.EndGroupType {
		return b, -1
	}
	if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
		return b, n
	}
	return b[n:], n
}

func wireError(typ protowire.Type, n int) error {
	if typ == protowire.StartGroupType || typ == protowire.EndGroupType {
		return errors.New("groups are not supported")
	}
	return parseError(n)
}

// parseError is protowire's in words that stay the same.
func parseError(n int) error {
	if errors.Is(protowire.ParseError(n), io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return errMalformed
}

var errMalformed = errors.New("malformed")

func (f *field) wireType() protowire.Type {
	if f.kind.isVarint() && f.label != repeated {
		return protowire.VarintType
	}
	return protowire.BytesType
}

// field reads a field that is there once: from x if its wire type is VARINT.
func (d *decoder) field(f *field, x uint64, data []byte, v value) *Error {
	switch {
	case f.label == repeated:
		return d.packed(f, data, v)
	case f.label == optional:
		v = v.point(f.typ)
	}
	if f.kind.isVarint() {
		return f.setVarint(x, v)
	}
	return d.value(f, data, v)
}

// value reads what is not a number.
func (d *decoder) value(f *field, data []byte, v value) *Error {
	switch f.kind {
	case kindMessage:
		return d.message(f.message, data, v)
	case kindBytes:
		if len(data) > 0 {
			v.setBytes(data[:len(data):len(data)])
		}
	case kindArray:
		if len(data) != f.size {
			return errorf("%d bytes, want %d", len(data), f.size)
		}
		copy(v.bytes(f), data)
	case kindText:
		if !utf8.Valid(data) {
			return errorf("%.100q is not UTF-8", data)
		}
		v.setString(string(data))
	case kindString:
		v.setString(string(data))
	}
	return nil
}

// packed reads a list of numbers.
func (d *decoder) packed(f *field, b []byte, v value) *Error {
	count := 0
	for _, c := range b {
		if c < 0x80 {
			count++
		}
	}
	if count == 0 && len(b) > 0 {
		return &Error{"[0]", io.ErrUnexpectedEOF}
	} else if count == 0 {
		return nil
	}
	if err := d.take(f, count); err != nil {
		return err
	}
	first := v.makeSlice(f, count)
	for i := 0; len(b) > 0; i++ {
		x, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return errorf("%w", parseError(n)).in(fmt.Sprintf("[%d]", i))
		}
		if err := f.setVarint(x, first.at(f, i)); err != nil {
			return err.in(fmt.Sprintf("[%d]", i))
		}
		b = b[n:]
	}
	return nil
}

func (f *field) setVarint(x uint64, v value) *Error {
	switch {
	case v.setNumber(f, x):
		return nil
	case f.kind == kindInt:
		return errorf("%d does not fit %d bits", protowire.DecodeZigZag(x), f.typ.Bits())
	case f.kind == kindUint:
		return errorf("%d does not fit %d bits", x, f.typ.Bits())
	}
	return errorf("%d is not a bool", x)
}
