// Package prototest makes structs for tests of what protostruct decodes: random
// ones, and ones in which something is not as it should be.
package prototest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
)

// Fill gives v, a pointer, a random value that survives being encoded: slices
// are nil if they are empty, and texts are ASCII.
func Fill(r *rand.Rand, v any) { fill(r, reflect.ValueOf(v).Elem(), false) }

func fill(r *rand.Rand, v reflect.Value, text bool) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()) >> r.IntN(v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()) >> r.IntN(v.Type().Bits()))
	case reflect.String:
		b := make([]byte, r.IntN(6))
		for i := range b {
			b[i] = byte(r.Uint32())
			if text {
				b[i] &= 0x7f
			}
		}
		v.SetString(string(b))
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), text)
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i), text)
			}
		}
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag.Get("pb")
			if v.Field(i).CanSet() && tag != "-" {
				fill(r, v.Field(i), strings.HasSuffix(tag, ",text"))
			}
		}
	default:
		panic(fmt.Sprintf("prototest: a %v", v.Type()))
	}
}

// Walk calls f for each value in what v points to, which f may change. It goes
// down into what f leaves there.
func Walk(v any, f func(path string, v reflect.Value)) { walk("", reflect.ValueOf(v).Elem(), f) }

func walk(path string, v reflect.Value, f func(string, reflect.Value)) {
	f(path, v)
	switch v.Kind() {
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i), f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walk(path, v.Elem(), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i), f)
			}
		}
	}
}

// Hostile returns values that might stand where v does: the smallest, the
// largest, nothing, too much. V's own is none of them.
func Hostile(v reflect.Value) []reflect.Value {
	var out []reflect.Value
	add := func(x any) {
		if n := reflect.ValueOf(x).Convert(v.Type()); !reflect.DeepEqual(n.Interface(), v.Interface()) {
			out = append(out, n)
		}
	}
	add(reflect.Zero(v.Type()).Interface())
	switch v.Kind() {
	case reflect.Bool:
		add(!v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		top := int64(math.MaxInt64) >> (64 - v.Type().Bits())
		for _, x := range []int64{1, -1, 2, 3, 19, v.Int() + 1, top, top / 2, 1_000_000_000 & top, -top - 1} {
			add(x)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		top := uint64(math.MaxUint64) >> (64 - v.Type().Bits())
		for _, x := range []uint64{1, 2, 3, 19, v.Uint() + 1, top, top / 2, top/2 + 1, 1_000_000_000 & top} {
			add(x)
		}
	case reflect.String:
		add("x")
		add("..")
		add(v.String() + "\x00")
		add(strings.Repeat("x", 5000))
	case reflect.Slice:
		if v.Len() > 0 {
			add(v.Slice(0, v.Len()-1).Interface())
			add(reflect.AppendSlice(v.Slice3(0, v.Len(), v.Len()), v).Interface())
		} else {
			add(reflect.MakeSlice(v.Type(), 1, 1).Interface())
		}
	case reflect.Pointer:
		add(reflect.New(v.Type().Elem()).Interface())
	}
	return out
}

// Mutate changes one value somewhere in what v points to.
func Mutate(r *rand.Rand, v any) {
	count := 0
	Walk(v, func(string, reflect.Value) { count++ })
	at := r.IntN(count)
	Walk(v, func(_ string, v reflect.Value) {
		if at--; at == -1 {
			if h := Hostile(v); len(h) > 0 {
				v.Set(h[r.IntN(len(h))])
			}
		}
	})
}
