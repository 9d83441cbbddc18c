package stasis

import (
	"errors"
	"io/fs"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/store"
)

// A Kind is a sort of error, for programs.
type Kind = fault.Kind

// The kinds of errors. ExitCode says what the command line makes of each.
const (
	Internal       = fault.Internal
	Invalid        = fault.Invalid
	NotFound       = fault.NotFound
	Exists         = fault.Exists
	WrongState     = fault.WrongState
	AlreadyStopped = fault.AlreadyStopped
	UnexpectedExit = fault.UnexpectedExit
	Closed         = fault.Closed
	Timeout        = fault.Timeout
	Canceled       = fault.Canceled
	Refused        = fault.Refused
	NotRunnable    = fault.NotRunnable
	Corrupt        = fault.Corrupt
	Exhausted      = fault.Exhausted
	Unsupported    = fault.Unsupported
)

// Error is what failed calls of this package return. Kind is for programs; the
// text, which ends with what to do next where that is known, is for people.
type Error struct {
	Op   string // the call: "restore"
	ID   string // what it was made on, as the user named it; may be empty
	Kind Kind
	Err  error // the cause
}

func (e *Error) Error() string {
	if e.ID == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.ID + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// failed makes an Error of an error; of nil, nil.
func failed(op, id string, err error) error {
	var done *Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	err = advised(err)
	return &Error{Op: op, ID: id, Kind: fault.KindOf(err), Err: err}
}

// advised adds the kind and the remedy of errors of the store.
func advised(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &fault.Error{Kind: NotFound, Err: err}
	case errors.Is(err, store.ErrTaken):
		return &fault.Error{Kind: Exists, Err: err}
	case errors.Is(err, store.ErrRunning):
		return &fault.Error{Kind: WrongState, Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &fault.Error{Kind: NotFound, Err: err}
	}
	return sandbox.Advise(err)
}

// KindOf is the kind of an error of this package.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return fault.KindOf(err)
}
