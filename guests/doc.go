// Package guests has programs to try the runtime on: real ones that others
// wrote (CPython, SQLite, QuickJS, Lua, zlib, bzip2, Ruby) and small ones of
// ours, each with arguments, files and the output that it must print.
//
// Nothing that is not ours is in the tree. A recipe names a package of a
// public registry, its version and its digest; Path fetches it with that
// registry's ordinary client (pip, npm, cargo, go), builds it where it is
// source, and keeps the module in the user's cache under a key made of all
// that went into it. Two processes may ask for the same guest at once: one
// builds, the other waits. What cannot be had gives an *UnavailableError, which tests
// take as a reason to skip.
//
// What toolchains make of whole languages (Toolchains) is built here from their
// own libraries: C++ with exceptions, C with threads.
//
// A guest prints the same bytes each time, on any runtime; progress lines on
// the way, a digest at the end. The work it does is set by a scale argument.
package guests
