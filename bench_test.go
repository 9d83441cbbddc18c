package stasis_test

import (
	"context"
	"testing"

	"github.com/stasis-run/stasis"
)

// BenchmarkWork runs a computing guest in a process of its own, and in ours,
// where it yields to Go's collector.
func BenchmarkWork(b *testing.B) {
	for name, iso := range map[string]stasis.Isolation{"process": stasis.Process, "in process": stasis.InProcess} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			host := &stasis.Host{Home: b.TempDir(), Cache: cache}
			for b.Loop() {
				sys, err := host.Run(ctx, stasis.Options{
					Name: "work", Isolation: iso, Spec: stasis.Spec{Module: guest("work"), Args: []string{"work", "z"}},
				})
				if err != nil {
					b.Fatal(err)
				}
				x, err := sys.Wait(ctx)
				if err != nil || x.Code != 0 {
					b.Fatalf("%+v, %v", x, err)
				}
				if err := sys.Remove(ctx, stasis.RemoveOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
