// Package fault says of errors what sort they are, for programs, and what the
// user can do about them. Kinds cross process boundaries and are part of the
// public API.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Kind is a sort of error.
type Kind string

// The kinds of errors.
const (
	Internal       Kind = "internal"        // a bug of ours, or of the host
	Invalid        Kind = "invalid"         // what was asked for makes no sense
	NotFound       Kind = "not-found"       // there is no such system, image or file
	Exists         Kind = "exists"          // the name is taken
	WrongState     Kind = "wrong-state"     // not now: the system is in another state
	AlreadyStopped Kind = "already-stopped" // the system has ended
	UnexpectedExit Kind = "unexpected-exit" // its host process ended without a word
	Closed         Kind = "closed"          // the handle has been closed
	Timeout        Kind = "timeout"
	Canceled       Kind = "canceled"
	Refused        Kind = "refused"      // it needs what was not granted
	NotRunnable    Kind = "not-runnable" // the file is no program that can be run here
	Corrupt        Kind = "corrupt"      // an image is not what it should be
	Exhausted      Kind = "exhausted"    // no space, memory or descriptors
	Unsupported    Kind = "unsupported"  // by this version, or by the other side's
)

// An Error is an error of a kind, with a remedy if one is known.
type Error struct {
	Kind   Kind
	Err    error
	Remedy string // what to do about it, without a full stop; may be empty
}

func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + " (" + e.Remedy + ")"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind.
func New(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// Advise adds a kind and a remedy to an error.
func Advise(k Kind, err error, remedy string, args ...any) error {
	return &Error{Kind: k, Err: err, Remedy: fmt.Sprintf(remedy, args...)}
}

// KindOf is the kind of an error: the outermost that somebody said.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// Clean makes a text from a hostile place fit for a terminal: what is no printable
// character, but for tabs and new lines, becomes "?".
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '?'
	}, s)
}

// Advised reports whether err says already what to do.
func Advised(err error) bool {
	var e *Error
	for errors.As(err, &e) {
		if e.Remedy != "" {
			return true
		}
		err = e.Err
	}
	return false
}
