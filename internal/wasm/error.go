package wasm

import (
	"errors"
	"fmt"
)

// ErrUnsupported is what errors.Is finds in the error about a module that uses
// a feature which this package knows by name only, such as memory64.
var ErrUnsupported = errors.New("unsupported feature")

// An Error says what is wrong with a module, and where.
type Error struct {
	Offset int    // in the module's bytes, or -1 if the place is not known
	Msg    string // where in the module, and what: "function 12: type mismatch: have i32, want i64"
	Err    error  // ErrUnsupported, or nil

	Feature string // with ErrUnsupported: what is not supported, such as "memory64"
}

func (e *Error) Error() string {
	if e.Offset < 0 {
		return "wasm: " + e.Msg
	}
	return fmt.Sprintf("wasm: offset %#x: %s", e.Offset, e.Msg)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// errorAt makes an Error about the byte at offset.
func errorAt(offset int, format string, args ...any) *Error {
	return &Error{Offset: offset, Msg: fmt.Sprintf(format, args...)}
}

// unsupportedAt makes an Error about a feature that is not supported.
func unsupportedAt(offset int, feature string) *Error {
	return &Error{Offset: offset, Msg: ErrUnsupported.Error() + ": " + feature, Err: ErrUnsupported, Feature: feature}
}

// in returns e with the thing that it is about put before its text, and its
// offset moved by base.
func (e *Error) in(base int, format string, args ...any) *Error {
	off := e.Offset
	if off >= 0 {
		off += base
	}
	return &Error{Offset: off, Msg: fmt.Sprintf(format, args...) + ": " + e.Msg, Err: e.Err, Feature: e.Feature}
}

// Features that are refused by name.
const (
	featureMemory64    = "memory64"
	featureMultiMemory = "multi-memory"
	featureGC          = "garbage collection"
	featureRelaxedSIMD = "relaxed SIMD"
	featureWideArith   = "wide arithmetic"
	featureSharedAll   = "shared-everything threads"
	featureSwitching   = "stack switching"
	featurePageSizes   = "custom page sizes"
	featureComponents  = "components"
)
