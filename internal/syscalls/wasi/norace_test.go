//go:build !race

package wasi

// raced says that the race detector looks on.
const raced = false
