// Package symbols says what a place in a module is called: function, byte offset,
// and the lines of the source, where the module has DWARF in its custom sections.
//
// Nothing is read before somebody asks. Modules and what is in their sections may
// come from anywhere: what cannot be read, or would take too long, is left out,
// and the stack that is printed says less.
package symbols
