// Package interp runs pieces of single functions of the original module: from
// where a frame was stopped to its next call, loop head, return or trap.
//
// A frame that goes on is mostly run once at its site and then left, and having
// the engine compile a continuation for that costs a thousand times more than
// the run. So cold frames are interpreted. The interpreter never nests: at a
// call it stops and says so, and what the call means (records, imports, a
// table look-up, the depth of the stack) stays with its user. It stops at loop
// heads too, where its user may change over to compiled code. Between two stops
// an instruction is therefore run at most once, and a run is no longer than the
// function: it needs no check for interruption of its own.
//
// # Coordinates
//
// A Frame is an activation in the terms of the original function: its locals,
// its whole operand stack and the ordinal of an instruction. All of them are
// also what a record of package instrument has (a Site's Pos is PC+1), so that
// a frame can go back and forth between the two.
//
// A run may begin at any reachable instruction, inside any nesting of blocks.
// There is hence no control stack: Prepare resolves each branch to a target,
// the number of values that it carries and the height that it cuts the operand
// stack to.
//
// # Same bits
//
// A guest must not see who ran its code. Integers and traps are the
// specification's; for NaNs it leaves a choice, and there the interpreter does
// what wazero's code for amd64 does, see nan.go. TestOperators compares every
// operator with the compiled one.
package interp
