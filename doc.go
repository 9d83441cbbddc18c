// Package stasis runs WebAssembly programs as compute systems: processes that
// can be stopped at any moment, saved to an image, and woken again, here or
// elsewhere, any number of times.
//
//	host := &stasis.Host{}
//	sys, err := host.New(ctx, stasis.Options{Name: "job", Spec: stasis.Spec{Module: "/srv/job.wasm"}})
//	err = sys.Start(ctx)
//	stats, err := sys.Checkpoint(ctx, stasis.CheckpointOptions{Leave: true})
//	exit, err := sys.Wait(ctx)
//
// By default each system lives in a process of its own, which gives up all that
// it does not need before it looks at the program. That process is started from
// the stasis program, or from this one if it calls [SandboxMain] first in main.
// A system with [InProcess] lives in the caller's process, without those walls.
//
// There is no daemon: what is known of systems is in files ([Host.Home]), and a
// running one answers on a socket. So handles of different processes see the
// same systems. Methods may be called from several goroutines.
package stasis
