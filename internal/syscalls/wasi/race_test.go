//go:build race

package wasi

// raced says that the race detector looks on: tasks that share a memory would be
// found to, which is their own business.
const raced = true
