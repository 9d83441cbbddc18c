// Package conformance runs WebAssembly's own specification tests against an
// engine. The tests are those that the wazero module carries: wast2json's
// command files with the modules they name, found in Go's module cache.
//
// An engine joins as a Host. A test for a new one is a call of Run:
//
//	func TestSpecThroughMyEngine(t *testing.T) {
//		conformance.Run(t, conformance.Config{
//			New: func(ctx context.Context, suite string) (conformance.Host, error) {
//				return newMyHost(ctx)
//			},
//			Skip: map[string]string{"v2/linking.json:380": "the reason"},
//		})
//	}
//
// Each command file is a subtest with a host and a deadline of its own. The
// run prints what passed, failed and was skipped and why, so that a skip
// never hides.
package conformance

import (
	"context"
	"errors"
)

// ErrUnsupported is what a Host's Instantiate returns (wrapped) for a module
// that it refuses because of a feature it does not have. The runner counts
// the module and all commands on it as skipped, with the error as the reason.
var ErrUnsupported = errors.New("unsupported")

// A Host instantiates modules and links them with each other.
type Host interface {
	// Instantiate decodes, checks, links and starts a module. Imports come
	// from the instances that were registered, "spectest" among them (the
	// runner instantiates and registers it as an ordinary module). The name
	// is for messages only.
	Instantiate(ctx context.Context, name string, wasm []byte) (Instance, error)

	// Register makes the exports of i available to later modules under name.
	Register(name string, i Instance)

	// Close frees the host and all its instances.
	Close() error
}

// An Instance is a module with its state. Values are the engine's 64-bit
// words: i32 and f32 in the low half, a v128 as two words, low one first, a
// null reference as 0, an externref as the raw value that came in.
type Instance interface {
	Call(ctx context.Context, fn string, args []uint64) ([]uint64, error)

	// Global returns the value of an exported global.
	Global(name string) ([]uint64, error)
}

// A Reporter is a Host with something to say about a file after it has run,
// such as how often it was stopped. The text goes to the verbose log.
type Reporter interface {
	Report() string
}

// Suites are the directories of tests, in the order in which they run.
var Suites = []string{
	"v1", "v2", "tail-call", "extended-const", "typed-function-references",
	"exception-handling", "threads",
}
