// Package instrument rewrites a WebAssembly module so that a running stack can
// be taken apart at any safepoint and continued later, frame by frame, in
// another process, on another machine or engine.
//
// # Hot form and continuations
//
// The hot form of a module (Program.Hot) is what runs. It differs from the
// original by three checks, each with a cold path that leaves the function:
//
//	function entry   look or depth   save the parameters, return dummies
//	                                 (only where recursion can pass; a function
//	                                 that begins with a loop does both there)
//	loop head        look            save the live values, return dummies
//	after a call     mode            save the live values, return dummies
//
// The cold paths stand behind the function's own code, so that the hot path
// falls through. Small loops look at every second or fourth iteration (unroll.go).
//
// Nothing in it knows how to come back: it has no resume labels, so the engine
// compiles it almost as it would compile the original. What brings a frame back
// is its continuation (Program.Continuation): a function of its own, made when
// it is first needed, in a second module over the same memory, tables and
// globals. The continuation of a site takes the values that were live there as
// parameters, and is the rest of the function from that site on: what is left
// of each block around the site, from the inside out. A loop around the site is
// entered again at its head, which is a site as well: either the continuation
// carries the whole loop along (small loops: peeling), or it saves its frame
// there and leaves, and the host calls the continuation of that head (large
// loops: a hop). So a long-lived frame is back in unlabelled code after at most
// one iteration of each loop around it.
//
// # The stack is data
//
// The host keeps the frames that were taken apart as records and calls the
// continuation of the topmost one. When that returns, its results go into the
// continuation of the next record, and so on: a resume puts one frame back,
// whatever the depth, and a frame is taken apart again only if it ran
// meanwhile. There is no rewinding through calls, and hence no state of the
// guest's code that says so.
//
// # look, mode and depth
//
// Two mutable i32 globals are added. look is written by Go alone (0, or
// LookRaised when something waits for the task); the guest's code reads it at
// entries and loop heads. mode is written by Go alone too, always on the
// task's own goroutine: the first save of an unwind, or a host call that wants
// the stack taken apart, sets it, and the host clears it when the stack is off.
// The guest's code reads it after calls. A request therefore cannot be erased
// by the guest, and one that arrives while a callee returns a real result
// disturbs nothing: it is found at the next entry or loop head.
//
// depth is a hidden last parameter of every function that can be stopped: how
// many more bytes of frames may be put on the stack, in the portable measure of
// Program.FrameSize. The entry check compares both at once (depth <= look). At
// the end of its budget a stack is taken apart like at any safepoint; the host
// then decides between going on from records and a stack overflow. So the limit
// is exact, ours, and the same on every engine and machine.
//
// # Coordinates
//
// A Site is named by the original module's function index and position, and its
// live values by the original locals and operand stack slots, so that records
// outlive this version of the pass. doc/image.md has the normative rules.
package instrument
