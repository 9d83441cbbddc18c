// Package mutation makes deliberate faults in the pass, the interpreter and the
// engine's adapter, one at a time, and sees that the suites catch each within a
// minute: what measures the code has to be measured, too.
//
// A fault is a piece of source and what stands there instead
// (testdata/faults.txt). It is applied by go build's -overlay, never to the
// tree. A piece that is not found exactly once fails: the list has to follow
// the source. A fault that no suite catches is a finding about the suites.
package mutation
