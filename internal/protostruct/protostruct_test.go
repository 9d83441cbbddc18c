package protostruct

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stasis-run/stasis/internal/protostruct/prototest"
)

type (
	id    int32
	flags uint8
)

// all has a field of each sort.
type all struct {
	Bool     bool        `pb:"1"`
	ID       id          `pb:"2"`
	Flags    flags       `pb:"3"`
	Int      int64       `pb:"4"`
	Uint     uint64      `pb:"5"`
	Name     string      `pb:"6"`
	Text     string      `pb:"7,text"`
	Data     []byte      `pb:"8"`
	Digest   [4]byte     `pb:"9"`
	In       inner       `pb:"10"`
	Maybe    *inner      `pb:"11"`
	Offset   *int64      `pb:"12"`
	Word     *string     `pb:"13"`
	Bools    []bool      `pb:"14"`
	IDs      []id        `pb:"15"`
	Words    []uint64    `pb:"16"`
	Names    []string    `pb:"17"`
	Blobs    [][]byte    `pb:"18"`
	Digests  [][2]byte   `pb:"19"`
	Ins      []inner     `pb:"20"`
	Texts    []string    `pb:"21,text"`
	Last     uint16      `pb:"2047"`
	Small    int8        `pb:"1000"`
	Skipped  map[int]int `pb:"-"`
	_        struct{}    `pb:"30"`
	unwanted int         `pb:"-"`
}

type inner struct {
	A uint32   `pb:"1"`
	B []uint32 `pb:"2"`
	C deep     `pb:"3"`
}

type deep struct {
	X, Y []deeper `pb:"-"`
	Z    []deeper `pb:"2"`
}

type deeper struct {
	N int `pb:"1"`
}

// TestWire: some values and their bytes, as protoc has them.
func TestWire(t *testing.T) {
	zero, off := "", int64(-2)
	for _, c := range []struct {
		v    all
		want string
	}{
		{all{}, ""},
		{all{Skipped: map[int]int{1: 1}, unwanted: 1}, ""},
		{all{Bool: true}, "0801"},
		{all{ID: -1}, "1001"},
		{all{ID: math.MinInt32}, "10ffffffff0f"},
		{all{Flags: 255}, "18ff01"},
		{all{Int: math.MaxInt64}, "20feffffffffffffffff01"},
		{all{Uint: math.MaxUint64}, "28ffffffffffffffffff01"},
		{all{Name: "\xff"}, "3201ff"},
		{all{Text: "é"}, "3a02c3a9"},
		{all{Data: []byte{0}}, "420100"},
		{all{Data: []byte{}}, ""},
		{all{Digest: [4]byte{3: 1}}, "4a0400000001"},
		{all{In: inner{A: 1}}, "52020801"},
		{all{Maybe: &inner{}}, "5a00"},
		{all{Maybe: &inner{C: deep{Z: []deeper{{}}}}}, "5a041a021200"},
		{all{Offset: new(int64)}, "6000"},
		{all{Offset: &off}, "6003"},
		{all{Word: &zero}, "6a00"},
		{all{Bools: []bool{true, false}}, "72020100"},
		{all{IDs: []id{1, -1}}, "7a020201"},
		{all{Words: []uint64{300}}, "820102ac02"},
		{all{Names: []string{"", "a"}}, "8a01008a010161"},
		{all{Blobs: [][]byte{nil, {7}}}, "92010092010107"},
		{all{Digests: [][2]byte{{}}}, "9a01020000"},
		{all{Ins: []inner{{}, {B: []uint32{1}}}}, "a20100a20103120101"},
		{all{Last: 1}, "f87f01"},
		{all{Small: -128, Last: 2}, "c03eff01f87f02"},
	} {
		b, err := Marshal(c.v)
		if err != nil || hex.EncodeToString(b) != c.want {
			t.Errorf("%+v: %x, %v, want %s", c.v, b, err, c.want)
			continue
		}
		p, err := Marshal(&c.v)
		if err != nil || !bytes.Equal(p, b) {
			t.Errorf("%+v: %x, %v by its pointer", c.v, p, err)
		}
		got := all{Uint: 9, Names: []string{"old"}}
		if err := Unmarshal(b, &got); err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if again, _ := Marshal(got); !bytes.Equal(again, b) || got.Skipped != nil {
			t.Errorf("%s is %+v, which is %x", c.want, got, again)
		}
	}
}

func TestRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var v all
		prototest.Fill(r, &v)
		b, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got all
		if err := Unmarshal(b, &got); err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		if !reflect.DeepEqual(got, v) {
			t.Fatalf("%+v\nwas %+v", got, v)
		}
	}
}

// TestHostile: what is refused, and in which words.
func TestHostile(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"08", "bool: unexpected EOF"},
		{"80", "tag: unexpected EOF"},
		{"00", "tag: malformed"},
		{"0802", "bool: 2 is not a bool"},
		{"0a00", "bool: wire type 2, want 0"},
		{"08010801", "bool: is there twice"},
		{"08010800", "bool: is there twice"},
		{"108080808020", "id: 4294967296 does not fit 32 bits"},
		{"18ff07", "flags: 1023 does not fit 8 bits"},
		{"28ffffffffffffffffffff01", "uint: malformed"},
		{"4205", "data: unexpected EOF"},
		{"42ffffffffffffffffff01", "data: unexpected EOF"},
		{"3201613200", "name: is there twice"},
		{"3a01ff", `text: "\xff" is not UTF-8`},
		{"aa010161aa0101ff", `texts[1]: "\xff" is not UTF-8`},
		{"4a03010203", "digest: 3 bytes, want 4"},
		{"4a00", "digest: 0 bytes, want 4"},
		{"9a01020102" + "9a010101", "digests[1]: 1 bytes, want 2"},
		{"5200" + "5200", "in: is there twice"},
		{"5a00" + "5a00", "maybe: is there twice"},
		{"60006000", "offset: is there twice"},
		{"52021000", "in.b: wire type 0, want 2"},
		{"a20100a201021001", "ins[1].b: wire type 0, want 2"},
		{"7001", "bools: wire type 0, want 2"},
		{"720102", "bools[0]: 2 is not a bool"},
		{"72017f", "bools[0]: 127 is not a bool"},
		{"7a0180", "ids[0]: unexpected EOF"},
		{"720101720101", "bools: is there twice"},
		{"a20104" + "1a02" + "1205", "ins[0].c.z: unexpected EOF"},
		{"a20107" + "1a05" + "1200" + "12010a", "ins[0].c.z[1]"},
		{"0b0c", "bool: groups are not supported"},
		{"9306", "field 98: groups are not supported"},
		{"9406", "field 98: groups are not supported"},
		{"9606", "field 98"},
		{"9206ff", "field 98: unexpected EOF"},
	} {
		b, err := hex.DecodeString(c.in)
		if err != nil {
			t.Fatal(err)
		}
		v := all{Int: 1}
		err = Unmarshal(b, &v)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.in, err, c.want)
		}
		var e *Error
		if !errors.As(err, &e) || !reflect.DeepEqual(v, all{}) {
			t.Errorf("%s: %T, left %+v", c.in, err, v)
		}
	}
}

// TestSkips: fields of a later version, of every wire type, in any order and place.
func TestSkips(t *testing.T) {
	b, _ := hex.DecodeString("a20100" + "9006ff01" + "9106" + "0102030405060708" + "92060100" + "f50601020304" + "a2010208" + "05" + "0801" + "f00101" + "f8ffffff0f01")
	var v all
	if err := Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if want := (all{Bool: true, Ins: []inner{{}, {A: 5}}}); !reflect.DeepEqual(v, want) {
		t.Errorf("%+v", v)
	}
}

// TestAlias: bytes are the input's, and cannot be appended to in place.
func TestAlias(t *testing.T) {
	b, _ := Marshal(all{Data: []byte("abc"), Last: 1})
	var v all
	if err := Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if &v.Data[0] != &b[2] || cap(v.Data) != 3 {
		t.Errorf("data are a copy, or have room: %d", cap(v.Data))
	}
}

// TestMemory: small fields that make large elements take no more than the
// elements; long ones that say more than there is take nothing.
func TestMemory(t *testing.T) {
	type wide struct {
		Row []all `pb:"1"`
	}
	const n = 100_000
	size := int(reflect.TypeFor[all]().Size())
	words, err := Marshal(all{Words: make([]uint64, n)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   []byte
		max  int
		ok   bool
	}{
		{"empty elements", bytes.Repeat([]byte{0x0a, 0}, n), n*size + 1<<16, true},
		{"a length", []byte{0x0a, 0xff, 0xff, 0xff, 0x7f, 0}, 1 << 16, false},
		{"numbers", append(protowire.AppendVarint([]byte{0x0a}, uint64(len(words))), words...), 8*n + size + 1<<16, true},
		{"no numbers", append([]byte{0x0a, 0x86, 0x8d, 6, 0x82, 1, 0xa0, 0x8d, 6}, bytes.Repeat([]byte{0x80}, n)...), 1 << 16, false},
	} {
		var v wide
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Unmarshal(c.in, &v)
		runtime.ReadMemStats(&after)
		if took := int(after.TotalAlloc - before.TotalAlloc); took > c.max || c.ok != (err == nil) {
			t.Errorf("%s: %d bytes, at most %d were expected; %v", c.name, took, c.max, err)
		}
	}
}

type recursive struct {
	Next *recursive `pb:"1"`
}

// TestTypes: types that cannot be encoded are told.
func TestTypes(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{struct{ A int }{}, ".A has no tag"},
		{struct{ a int }{}, ".a has no tag"},
		{struct {
			a int `pb:"1"`
		}{}, "not exported"},
		{struct {
			A int `pb:"1"`
			B int `pb:"1"`
		}{}, `.B: tag "1" is not a number of its own`},
		{struct {
			A int      `pb:"1"`
			_ struct{} `pb:"1"`
		}{}, `tag "1"`},
		{struct {
			A int `pb:"0"`
		}{}, `tag "0"`},
		{struct {
			A int `pb:"2048"`
		}{}, `tag "2048"`},
		{struct {
			A string `pb:"1,txt"`
		}{}, `tag "1,txt"`},
		{struct {
			A int `pb:"1,text"`
		}{}, "is no text"},
		{struct {
			A any `pb:"1"`
		}{}, "interface {} cannot be encoded"},
		{struct {
			A map[string]int `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A []*int `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A **int `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A *[]byte `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A [][]int `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A [2]int `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A [0]byte `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			A float64 `pb:"1"`
		}{}, "cannot be encoded"},
		{struct {
			inner `pb:"1"`
		}{}, "embedded"},
		{recursive{}, "recursive contains itself"},
		{7, "int is not a struct"},
		{nil, "nil"},
		{(*all)(nil), "nil"},
	} {
		if _, err := Marshal(c.v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v, want %s", c.v, err, c.want)
		}
	}
	for _, v := range []any{nil, 7, all{}, (*all)(nil), new(int), new(recursive)} {
		if err := Unmarshal(nil, v); err == nil {
			t.Errorf("%T was decoded", v)
		}
	}
	if _, err := Marshal(all{Text: "\xff"}); err == nil || !strings.Contains(err.Error(), "text: \"\\xff\" is not UTF-8") {
		t.Errorf("a text that is none: %v", err)
	}
	if err := Schema(io.Discard, "p", recursive{}); err == nil {
		t.Error("a schema of a type that contains itself")
	}
}

func TestFieldNames(t *testing.T) {
	for in, want := range map[string]string{
		"ID": "id", "LastID": "last_id", "FDs": "fds", "CPU": "cpu", "CPUTime": "cpu_time", "ReadOnly": "read_only", "LastIDs": "last_ids",
		"FD": "fd", "Lo": "lo", "GroupStop": "group_stop", "As": "as", "Is": "is", "UsedS": "used_s",
	} {
		if got := fieldName(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

func TestSchema(t *testing.T) {
	var b strings.Builder
	if err := Schema(&b, "test.v1", new(all)); err != nil {
		t.Fatal(err)
	}
	const want = `syntax = "proto3";

package test.v1;

message ProtostructAll {
  bool bool = 1;
  sint64 id = 2; // 32 bits
  uint64 flags = 3; // 8 bits
  sint64 int = 4;
  uint64 uint = 5;
  bytes name = 6;
  string text = 7;
  bytes data = 8;
  bytes digest = 9; // 4 of them
  ProtostructInner in = 10;
  ProtostructInner maybe = 11;
  optional sint64 offset = 12;
  optional bytes word = 13;
  repeated bool bools = 14;
  repeated sint64 ids = 15; // 32 bits
  repeated uint64 words = 16;
  repeated bytes names = 17;
  repeated bytes blobs = 18;
  repeated bytes digests = 19; // 2 of them
  repeated ProtostructInner ins = 20;
  repeated string texts = 21;
  sint64 small = 1000; // 8 bits
  uint64 last = 2047; // 16 bits
  reserved 30;
}

message ProtostructInner {
  uint64 a = 1; // 32 bits
  repeated uint64 b = 2; // 32 bits
  ProtostructDeep c = 3;
}

message ProtostructDeep {
  repeated ProtostructDeeper z = 2;
}

message ProtostructDeeper {
  sint64 n = 1;
}
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// FuzzUnmarshal: what is accepted is encoded and read again as the same.
func FuzzUnmarshal(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		var v all
		prototest.Fill(r, &v)
		b, err := Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, again all
		if Unmarshal(b, &v) != nil {
			return
		}
		c, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := Unmarshal(c, &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%x\nis %+v\nthen %+v, %v", b, v, again, err)
		}
	})
}

// Elements that are nothing on the wire do not take all memory.
func TestUnmarshalMemory(t *testing.T) {
	type wide struct {
		A, B, C, D [4]int64 `pb:"-"`
		X          int64    `pb:"1"`
	}
	type list struct {
		Items   []wide   `pb:"1"`
		Numbers []uint64 `pb:"2"`
	}
	small := bytes.Repeat([]byte{0x0a, 0}, 100_000) // 13 MB in memory
	if err := Unmarshal(small, new(list)); err != nil {
		t.Error(err)
	}
	large := bytes.Repeat([]byte{0x0a, 0}, 1_000_000)
	want := "Items: 1000000 elements of 136 bytes: more than a message of this size holds"
	if err := Unmarshal(large, new(list)); err == nil || !strings.EqualFold(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	numbers := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), make([]byte, 20<<20))
	if err := Unmarshal(numbers, new(list)); err != nil {
		t.Error(err)
	}
}
