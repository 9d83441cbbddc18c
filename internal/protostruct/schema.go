package protostruct

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
)

// A Field is a field of a message as the schema has it.
type Field struct {
	Message string // "KernelTaskState"
	Number  int
	Name    string // "last_id"
	Type    string // "repeated sint64"; "reserved" if the number must not be used again
}

// Fields lists the fields of the messages that roots are and contain, each
// message once. Roots are structs, or pointers to them.
func Fields(roots ...any) ([]Field, error) {
	var out []Field
	err := messages(roots, func(p *plan) {
		for i := range p.fields {
			f := &p.fields[i]
			out = append(out, Field{p.name, int(f.num), f.name, f.schema()})
		}
		for _, n := range p.reserved {
			out = append(out, Field{p.name, int(n), "", "reserved"})
		}
	})
	return out, err
}

// Schema writes the proto3 file of the messages that roots are and contain. A
// message is named by its package and type.
func Schema(w io.Writer, pkg string, roots ...any) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "syntax = \"proto3\";\n\npackage %s;\n", pkg)
	err := messages(roots, func(p *plan) {
		fmt.Fprintf(&b, "\nmessage %s {\n", p.name)
		for i := range p.fields {
			f := &p.fields[i]
			fmt.Fprintf(&b, "  %s %s = %d;%s\n", f.schema(), f.name, f.num, f.note())
		}
		for _, n := range p.reserved {
			fmt.Fprintf(&b, "  reserved %d;\n", n)
		}
		fmt.Fprintln(&b, "}")
	})
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// messages calls f for each message, outer ones first.
func messages(roots []any, f func(*plan)) error {
	named := make(map[string]reflect.Type)
	var visit func(p *plan) error
	visit = func(p *plan) error {
		switch named[p.name] {
		case p.typ:
			return nil
		case nil:
		default:
			return fmt.Errorf("protostruct: %v and %v are both named %s", named[p.name], p.typ, p.name)
		}
		named[p.name] = p.typ
		f(p)
		for i := range p.fields {
			if m := p.fields[i].message; m != nil {
				if err := visit(m); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, r := range roots {
		t := reflect.TypeOf(r)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		p, err := planOf(t)
		if err != nil {
			return err
		}
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}

// schema is the field's type and label.
func (f *field) schema() string {
	s := map[kind]string{
		kindBool: "bool", kindUint: "uint64", kindInt: "sint64", kindBytes: "bytes", kindArray: "bytes", kindString: "bytes", kindText: "string",
	}[f.kind]
	if f.kind == kindMessage {
		s = f.message.name
	}
	switch {
	case f.label == repeated:
		return "repeated " + s
	case f.label == optional && f.kind != kindMessage: // a message always may be absent
		return "optional " + s
	}
	return s
}

// note tells what the type does not.
func (f *field) note() string {
	switch {
	case f.kind == kindArray:
		return fmt.Sprintf(" // %d of them", f.typ.Len())
	case (f.kind == kindInt || f.kind == kindUint) && f.typ.Bits() < 64:
		return fmt.Sprintf(" // %d bits", f.typ.Bits())
	}
	return ""
}
