// Package stops tests stops with the real engine: how long they take, that
// whatever blocks is saved at once and goes on with the time that was left, and
// that Go's collector and a guest's endless loop get along.
//
// Its tests own the collector, as the program does: a collection that begins by
// itself beside a looping guest would never end. For the same reason nothing
// here may stop the world while a guest loops (testing.B.ResetTimer does).
//
// The long form is
//
//	go test ./test/stops -timeout 30m -stops 10000 -alone 1m -alloc 10m
package stops
