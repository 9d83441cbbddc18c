// Package protostruct encodes plain Go structs in the wire format of protocol
// buffers. A tag gives each field its number, and that is all there is to say:
//
//	type TaskState struct {
//		ID   TaskID   `pb:"1"`
//		Args []string `pb:"2"`
//		Kind string   `pb:"3,text"`
//		Live *Task    `pb:"-"` // not encoded
//		_    struct{} `pb:"4"` // a number that was used once and never will be again
//	}
//
// Schema prints the .proto file that the structs amount to, for everybody else.
// What becomes of a type:
//
//	bool                      bool
//	uint, uint8 to uint64     uint64
//	int, int8 to int64        sint64; other numbers than the Go type has are refused
//	string                    bytes, as they need not be UTF-8; "text" makes it a string, which must be
//	[]byte                    bytes
//	[N]byte                   bytes, N of them; or left out if all are zero
//	struct                    a message; left out if it is empty
//	*struct                   a message that may be absent (nil)
//	*T of the first four      an optional field
//	[]T of all but pointers   a repeated field, packed where the format has that
//
// Named types are what they are made of. There is nothing else: no maps, whose
// order is not one, no interfaces, and no type that contains itself, so depth is
// bounded. The empty slice is encoded as nil is, and decoded as nil.
//
// Encoding is deterministic: fields in the order of their numbers, and no zeros.
// Decoding is for bytes from anywhere: what a struct takes is bounded by what
// its bytes take, whatever they say. It is stricter than the format asks for: a
// field that is there twice and is not repeated is refused, and so are groups
// and lists of numbers that are not packed. Fields with unknown numbers are
// skipped; what a reader has to understand is not for this package to say.
package protostruct

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
)

// A kind is what a field, or an element of it, is on the wire.
type kind uint8

const (
	kindBool kind = iota
	kindUint
	kindInt
	kindBytes  // []byte
	kindArray  // [N]byte
	kindString // bytes
	kindText   // string
	kindMessage
)

// isVarint reports whether the wire type is VARINT.
func (k kind) isVarint() bool { return k <= kindInt }

// A label is how often a field may be there.
type label uint8

const (
	single   label = iota
	optional       // a pointer: nil is told from zero
	repeated
)

// A field is a field's plan; immutable.
type field struct {
	num     protowire.Number
	tag     []byte  // as it is written
	name    string  // in the schema
	offset  uintptr // in the Go struct
	kind    kind
	label   label
	slice   reflect.Type // repeated: the slice
	typ     reflect.Type // of an element
	size    int          // of an element in memory
	message *plan        // kindMessage
}

// A plan says how a struct is encoded; immutable.
type plan struct {
	typ      reflect.Type
	name     string // in the schema
	fields   []field
	reserved []protowire.Number
	byNum    []int8 // index in fields, or -1
	repeated bool   // a field is, other than as packed numbers
}

// Bounds that keep plans small.
const (
	maxNumber = 2047 // a tag of two bytes
	maxFields = 64   // presence is a word
)

var plans sync.Map // reflect.Type to *planned

type planned struct {
	plan *plan
	err  error
}

// planOf returns the plan of a struct type.
func planOf(t reflect.Type) (*plan, error) {
	if p, ok := plans.Load(t); ok {
		return p.(*planned).plan, p.(*planned).err
	}
	p, err := makePlan(t, nil)
	if err != nil {
		p, err = nil, fmt.Errorf("protostruct: %w", err)
	}
	plans.Store(t, &planned{p, err})
	return p, err
}

// makePlan looks at t. Within are the types that contain it.
func makePlan(t reflect.Type, within []reflect.Type) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is not a struct", t)
	}
	if slices.Contains(within, t) {
		return nil, fmt.Errorf("%v contains itself", t)
	}
	p := &plan{typ: t, name: messageName(t)}
	used := make(map[protowire.Number]bool)
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("pb")
		if tag == "-" {
			continue
		}
		where := t.String() + "." + f.Name
		if !ok {
			return nil, fmt.Errorf("%s has no tag", where)
		}
		number, option, _ := strings.Cut(tag, ",")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n < 1 || n > maxNumber || used[protowire.Number(n)] || option != "" && option != "text" {
			return nil, fmt.Errorf("%s: tag %q is not a number of its own up to %d", where, tag, maxNumber)
		}
		used[protowire.Number(n)] = true
		if f.Name == "_" && f.Type.Kind() == reflect.Struct && f.Type.NumField() == 0 {
			p.reserved = append(p.reserved, protowire.Number(n))
			continue
		}
		if !f.IsExported() || f.Anonymous {
			return nil, fmt.Errorf("%s has a tag and is embedded or not exported", where)
		}
		pf := field{num: protowire.Number(n), name: fieldName(f.Name), offset: f.Offset}
		if err := pf.setType(f.Type, option == "text", append(within, t)); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		pf.tag = protowire.AppendTag(nil, pf.num, pf.wireType())
		p.fields = append(p.fields, pf)
	}
	if len(p.fields) > maxFields {
		return nil, fmt.Errorf("%v has more than %d fields", t, maxFields)
	}
	slices.SortFunc(p.fields, func(a, b field) int { return int(a.num - b.num) })
	slices.Sort(p.reserved)
	for i, f := range p.fields {
		for len(p.byNum) <= int(f.num) {
			p.byNum = append(p.byNum, -1)
		}
		p.byNum[f.num] = int8(i)
		p.repeated = p.repeated || f.label == repeated && !f.kind.isVarint()
	}
	return p, nil
}

// setType finds out what a field of Go type t is.
func (f *field) setType(t reflect.Type, text bool, within []reflect.Type) error {
	f.typ = t
	switch {
	case t.Kind() == reflect.Pointer:
		f.label, f.typ = optional, t.Elem()
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		f.label, f.typ, f.slice = repeated, t.Elem(), t
	}
	f.size = int(f.typ.Size())
	switch k := f.typ.Kind(); k {
	case reflect.Bool:
		f.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.kind = kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.kind = kindUint
	case reflect.String:
		f.kind = kindString
		if text {
			f.kind = kindText
		}
	case reflect.Struct:
		f.kind = kindMessage
		var err error
		if f.message, err = makePlan(f.typ, within); err != nil {
			return err
		}
	case reflect.Slice, reflect.Array:
		if f.typ.Elem().Kind() != reflect.Uint8 || f.label == optional || k == reflect.Array && f.typ.Len() == 0 {
			return fmt.Errorf("%v cannot be encoded", t)
		}
		f.kind = kindBytes
		if k == reflect.Array {
			f.kind = kindArray
		}
	default:
		return fmt.Errorf("%v cannot be encoded", t)
	}
	if text && f.kind != kindText {
		return fmt.Errorf("%v is no text", t)
	}
	return nil
}

// messageName is kernel.TaskState's KernelTaskState.
func messageName(t reflect.Type) string {
	return title(strings.TrimSuffix(path.Base(t.PkgPath()), "_test")) + title(t.Name())
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// fieldName is LastID's last_id, FDs' fds and CPUTime's cpu_time.
func fieldName(s string) string {
	var b strings.Builder
	r := []rune(s)
	for i, c := range r {
		plural := i == len(r)-2 && r[i+1] == 's'
		if i > 0 && unicode.IsUpper(c) &&
			(!unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1]) && !plural) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
