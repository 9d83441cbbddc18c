package checkpoint_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
)

var update = flag.Bool("update", false, "write doc/state.proto, and what is new to testdata/fields.txt")

// objects are the structs that a vfs.ObjectState has as its data.
var objects = []struct {
	kinds string
	data  any
}{
	{"memfs", memfs.FileState{}},
	{"hostfs", hostfs.State{}},
	{"stdio, listener, connection", hostfile.State{}},
	{"pipe, in files", pipefs.EndState{}},
	{"pipe, in objects", pipefs.State{}},
	{"socketpair, in files", unixsock.SocketState{}},
	{"socketpair, in objects", unixsock.State{}},
	{"eventfd", eventfd.State{}},
	{"epoll", epoll.State{}},
	{"devfs, procfs", pseudofs.State{}},
	{"terminal, pty, in files", ttyfs.FileState{}},
	{"terminal, in objects", ttyfs.State{}},
}

// roots are all messages that are encoded on their own.
func roots() []any {
	out := []any{checkpoint.State{}}
	for _, o := range objects {
		out = append(out, o.data)
	}
	return out
}

const schemaFile = "../../doc/state.proto"

// TestSchema: doc/state.proto is what the structs say.
func TestSchema(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`// The state file of a checkpoint's image is one CheckpointState. A field's number
// and type are never changed, and no number is used twice. Strings of the guest
// are bytes, as they need not be UTF-8. What "bits" follows is refused if it does
// not fit. A reader skips fields that it does not know.
//
// The data of a VfsObjectState is a message, which depends on its kind:
//
`)
	for _, o := range objects {
		fields, err := protostruct.Fields(o.data)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "//\t%-27s %s\n", o.kinds, fields[0].Message)
	}
	b.WriteString("//\n// Made from the structs in internal by go generate; do not edit.\n\n")
	var schema bytes.Buffer
	if err := protostruct.Schema(&schema, "stasis.image.v1", roots()...); err != nil {
		t.Fatal(err)
	}
	b.WriteString(commented(t, schema.String()))
	if *update {
		if err := os.WriteFile(schemaFile, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("doc/state.proto is not what the structs say: go generate ./internal/checkpoint")
	}
}

// commented puts the structs' comments into a schema.
func commented(t *testing.T, schema string) string {
	t.Helper()
	comments := structComments(t)
	var out strings.Builder
	message := ""
	for line := range strings.Lines(schema) {
		line = strings.TrimSuffix(line, "\n")
		w := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "message "):
			message = w[1]
			for c := range strings.Lines(comments[message].above) {
				fmt.Fprintf(&out, "// %s", c)
			}
		case strings.HasPrefix(line, "  ") && w[0] != "reserved":
			number, note, _ := strings.Cut(line[strings.LastIndex(line, " = ")+3:], ";")
			c := comments[message+" "+number]
			for above := range strings.Lines(c.above) {
				fmt.Fprintf(&out, "  // %s", above)
			}
			if c.beside != "" && note != "" {
				line += "; " + c.beside
			} else if c.beside != "" {
				line += " // " + c.beside
			}
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

// A comment is what stands above a struct or a field, and beside it.
type comment struct{ above, beside string }

// structComments finds the comments of all structs in internal by the names of
// their messages, and those of fields by that and the number.
func structComments(t *testing.T) map[string]comment {
	t.Helper()
	out := make(map[string]comment)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE || len(g.Specs) != 1 {
				continue
			}
			spec := g.Specs[0].(*ast.TypeSpec)
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			message := strings.ToUpper(f.Name.Name[:1]) + f.Name.Name[1:] + spec.Name.Name
			out[message] = comment{above: g.Doc.Text()}
			for _, field := range st.Fields.List {
				if field.Tag == nil {
					continue
				}
				tag, _ := strconv.Unquote(field.Tag.Value)
				number, _, _ := strings.Cut(reflect.StructTag(tag).Get("pb"), ",")
				out[message+" "+number] = comment{field.Doc.Text(), strings.TrimSpace(field.Comment.Text())}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFieldsStay: testdata/fields.txt has all fields that there have ever been.
// Each is still there with its number and type, or its number is reserved.
// Lines are added with -update, and never change.
func TestFieldsStay(t *testing.T) {
	const file = "testdata/fields.txt"
	b, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	fields, err := protostruct.Fields(roots()...)
	if err != nil {
		t.Fatal(err)
	}
	now := make(map[string]protostruct.Field)
	for _, f := range fields {
		now[fmt.Sprintf("%s %d", f.Message, f.Number)] = f
	}
	known := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		if len(w) < 4 {
			t.Fatalf("%s: %q", file, line)
		}
		key, name, typ := w[0]+" "+w[1], w[2], strings.Join(w[3:], " ")
		known[key] = true
		f, ok := now[key]
		if !ok || f.Type != "reserved" && (f.Name != name || f.Type != typ) {
			t.Errorf("%s %s %s: is now %q %q; images have it: a new field takes a new number, an old one's is kept by _ struct{} `pb:\"%s\"`",
				key, name, typ, f.Name, f.Type, w[1])
		}
	}
	for _, f := range fields {
		if line := fmt.Sprintf("%s %d %s %s\n", f.Message, f.Number, f.Name, f.Type); f.Type != "reserved" && !known[fmt.Sprintf("%s %d", f.Message, f.Number)] {
			b = append(b, line...)
			if !*update {
				t.Errorf("%s lacks %s: go generate ./internal/checkpoint", file, strings.TrimSpace(line))
			}
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestObjects: each package's calls of vfs.NewObjectState have a struct that
// objects names.
func TestObjects(t *testing.T) {
	known := make(map[string]bool)
	for _, o := range objects {
		typ := reflect.TypeOf(o.data)
		known[filepath.Base(typ.PkgPath())+"."+typ.Name()] = true
	}
	// Where the argument is a variable or a call, it is a state of these types.
	variables := map[string]string{"epoll.st": "epoll.State", "memfs.s": "memfs.FileState", "hostfs.s": "hostfs.State", "hostfs.st": "hostfs.State", "ttyfs.state()": "ttyfs.State"}
	calls := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) != 2 {
				return true
			}
			if s, ok := c.Fun.(*ast.SelectorExpr); !ok || s.Sel.Name != "NewObjectState" {
				return true
			}
			calls++
			name := ""
			switch a := c.Args[1].(type) {
			case *ast.CompositeLit:
				name = f.Name.Name + "." + a.Type.(*ast.Ident).Name
			case *ast.CallExpr:
				name = variables[f.Name.Name+"."+a.Fun.(*ast.SelectorExpr).Sel.Name+"()"]
			case *ast.Ident:
				name = variables[f.Name.Name+"."+a.Name]
			}
			if !known[name] {
				t.Errorf("%s: a NewObjectState of %q, which objects lacks", path, name)
			}
			return true
		})
		return nil
	})
	if err != nil || calls < 10 {
		t.Errorf("%d calls were found, %v", calls, err)
	}
}

// descriptors compiles doc/state.proto.
func descriptors(t testing.TB) map[string]protoreflect.MessageDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{filepath.Dir(schemaFile)}}}
	files, err := c.Compile(context.Background(), filepath.Base(schemaFile))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]protoreflect.MessageDescriptor)
	for i := range files[0].Messages().Len() {
		m := files[0].Messages().Get(i)
		out[string(m.Name())] = m
	}
	return out
}

// TestProtobuf: what we write is what protobuf-go reads as doc/state.proto says,
// and the other way round, for random states.
func TestProtobuf(t *testing.T) {
	messages := descriptors(t)
	r := rand.New(rand.NewPCG(7, 8))
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for _, root := range roots() {
		typ := reflect.TypeOf(root)
		fields, err := protostruct.Fields(root)
		if err != nil {
			t.Fatal(err)
		}
		d := messages[fields[0].Message]
		for range rounds {
			v, back := reflect.New(typ).Interface(), reflect.New(typ).Interface()
			prototest.Fill(r, v)
			ours, err := protostruct.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			// We write, they read: every field is what the struct has.
			theirs := dynamicpb.NewMessage(d)
			if err := proto.Unmarshal(ours, theirs); err != nil {
				t.Fatalf("%s: %v", d.Name(), err)
			}
			made := dynamicpb.NewMessage(d)
			build(t, made, reflect.ValueOf(v).Elem())
			if !proto.Equal(theirs, made) {
				t.Fatalf("%s: protobuf reads %v, want %v", d.Name(), theirs, made)
			}
			// They write, in whatever order, we read.
			for _, m := range []proto.Message{theirs, made} {
				b, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				if err := protostruct.Unmarshal(b, back); err != nil {
					t.Fatalf("%s: %v", d.Name(), err)
				}
				if !reflect.DeepEqual(back, v) {
					t.Fatalf("%s: read %+v, want %+v", d.Name(), back, v)
				}
			}
			if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(theirs); err != nil || !bytes.Equal(b, ours) {
				t.Fatalf("%s: protobuf writes %x, we write %x; %v", d.Name(), b, ours, err)
			}
		}
	}
}

// build makes m what the struct v is, field by field.
func build(t *testing.T, m *dynamicpb.Message, v reflect.Value) {
	t.Helper()
	set := 0
	for i := range v.NumField() {
		number, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("pb"), ",")
		n, err := strconv.Atoi(number)
		f := m.Descriptor().Fields().ByNumber(protowire.Number(n))
		if err != nil || f == nil {
			t.Fatalf("%v.%s is not in the schema", v.Type(), v.Type().Field(i).Name)
		}
		set++
		fv := v.Field(i)
		if fv.Kind() == reflect.Pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		if f.IsList() {
			for j := range fv.Len() {
				m.Mutable(f).List().Append(value(t, f, fv.Index(j)))
			}
		} else if v.Field(i).Kind() == reflect.Pointer || !empty(fv) {
			m.Set(f, value(t, f, fv))
		}
	}
	if set != m.Descriptor().Fields().Len() {
		t.Fatalf("%s has fields that the struct lacks", m.Descriptor().Name())
	}
}

// empty reports whether a struct or scalar has no encoding.
func empty(v reflect.Value) bool {
	if v.Kind() != reflect.Struct {
		return v.IsZero()
	}
	b, err := protostruct.Marshal(v.Interface())
	return err == nil && len(b) == 0
}

func value(t *testing.T, f protoreflect.FieldDescriptor, v reflect.Value) protoreflect.Value {
	t.Helper()
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v.Bool())
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint())
	case protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(v.Int())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String())
	case protoreflect.BytesKind:
		if v.Kind() == reflect.String {
			return protoreflect.ValueOfBytes([]byte(v.String()))
		}
		return protoreflect.ValueOfBytes(bytes.Clone(v.Bytes()))
	case protoreflect.MessageKind:
		m := dynamicpb.NewMessage(f.Message())
		build(t, m, v)
		return protoreflect.ValueOfMessage(m)
	}
	t.Fatalf("%s is a %v", f.FullName(), f.Kind())
	return protoreflect.Value{}
}

// FuzzStateBytes: a state of any bytes is refused, or encoded and read again as
// the same, in memory that is bounded by what there is of it.
func FuzzStateBytes(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	f.Add([]byte(nil))
	for range 50 {
		st := new(checkpoint.State)
		prototest.Fill(r, st)
		f.Add(encoded(f, st))
	}
	f.Add(encoded(f, &checkpoint.State{Kernel: new(kernel.State), Files: new(vfs.State), FDs: make([]vfs.FDTableState, 1), Mounts: []memfs.MountState{{FS: new(memfs.State)}}}))
	f.Add(slices.Concat([]byte{0x22, 200, 1}, bytes.Repeat([]byte{0x32, 0}, 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, again := new(checkpoint.State), new(checkpoint.State)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := protostruct.Unmarshal(b, st)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(100*len(b))+1<<20 { // others may allocate at the same time
			t.Errorf("%d bytes took %d", len(b), took)
		}
		if err != nil {
			return
		}
		if err := protostruct.Unmarshal(encoded(t, st), again); err != nil || !reflect.DeepEqual(st, again) {
			t.Errorf("%x\nis %+v\nthen %+v, %v", b, st, again, err)
		}
	})
}
