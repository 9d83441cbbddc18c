// Package abi is what a guest sees of us, as data: error numbers, rights, flags,
// signals and the layout of structures in guest memory. It does nothing.
//
// All integers in guest memory are little-endian. Numbers and layouts are those
// of WASI preview 1; where wasi_unstable (snapshot 0) differs, it says so.
package abi
