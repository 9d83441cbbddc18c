package protostruct

import (
	"reflect"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Values are read and written where they lie in memory, as their plan says:
// with reflection alone, many frames take half as long again and more, and a
// checkpoint's tasks stand for it. Nothing but this file knows more of a value
// than that it is of the plan's type.

// A value is where a Go value lies: of a struct, a field or an element.
type value struct{ p unsafe.Pointer }

// field returns where f lies in a struct.
func (v value) field(f *field) value { return value{unsafe.Add(v.p, f.offset)} }

// pointer returns what a pointer points to; ok is false if it is nil.
func (v value) pointer() (to value, ok bool) {
	p := *(*unsafe.Pointer)(v.p)
	return value{p}, p != nil
}

// point makes a pointer to a new T.
func (v value) point(t reflect.Type) value {
	p := reflect.New(t).UnsafePointer()
	*(*unsafe.Pointer)(v.p) = p
	return value{p}
}

// elements returns where the elements of a slice of any type lie, and how many.
func (v value) elements() (first value, n int) {
	s := *(*[]byte)(v.p) // all slices begin with pointer and length
	return value{unsafe.Pointer(unsafe.SliceData(s))}, len(s)
}

// at returns element i of those that begin at v.
func (v value) at(f *field, i int) value { return value{unsafe.Add(v.p, i*f.size)} }

// makeSlice makes a field a slice of n.
func (v value) makeSlice(f *field, n int) (first value) {
	s := reflect.MakeSlice(f.slice, n, n)
	reflect.NewAt(f.slice, v.p).Elem().Set(s)
	return value{s.UnsafePointer()}
}

// bytes is a []byte, an array's bytes or a string's, not to be written to if it
// is one.
func (v value) bytes(f *field) []byte {
	switch f.kind {
	case kindArray:
		return unsafe.Slice((*byte)(v.p), f.size)
	case kindBytes:
		return *(*[]byte)(v.p)
	}
	s := *(*string)(v.p)
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

func (v value) setBytes(b []byte)  { *(*[]byte)(v.p) = b }
func (v value) setString(s string) { *(*string)(v.p) = s }

// number reads a bool or a number as the wire has it.
func (v value) number(f *field) uint64 {
	switch f.kind {
	case kindBool:
		return protowire.EncodeBool(*(*bool)(v.p))
	case kindInt:
		var i int64
		switch f.size {
		case 1:
			i = int64(*(*int8)(v.p))
		case 2:
			i = int64(*(*int16)(v.p))
		case 4:
			i = int64(*(*int32)(v.p))
		case 8:
			i = *(*int64)(v.p)
		}
		return protowire.EncodeZigZag(i)
	}
	switch f.size {
	case 1:
		return uint64(*(*uint8)(v.p))
	case 2:
		return uint64(*(*uint16)(v.p))
	case 4:
		return uint64(*(*uint32)(v.p))
	}
	return *(*uint64)(v.p)
}

// setNumber is number's reverse. It reports whether x fits.
func (v value) setNumber(f *field, x uint64) bool {
	switch f.kind {
	case kindBool:
		*(*bool)(v.p) = x == 1
		return x <= 1
	case kindInt:
		i := protowire.DecodeZigZag(x)
		switch f.size {
		case 1:
			*(*int8)(v.p) = int8(i)
			return i == int64(int8(i))
		case 2:
			*(*int16)(v.p) = int16(i)
			return i == int64(int16(i))
		case 4:
			*(*int32)(v.p) = int32(i)
			return i == int64(int32(i))
		}
		*(*int64)(v.p) = i
		return true
	}
	switch f.size {
	case 1:
		*(*uint8)(v.p) = uint8(x)
		return x == uint64(uint8(x))
	case 2:
		*(*uint16)(v.p) = uint16(x)
		return x == uint64(uint16(x))
	case 4:
		*(*uint32)(v.p) = uint32(x)
		return x == uint64(uint32(x))
	}
	*(*uint64)(v.p) = x
	return true
}
