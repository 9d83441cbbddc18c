package stasis_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/stasis-run/stasis"
)

// exampleHost is a host of its own. Programs use &stasis.Host{}, which is the
// user's.
func exampleHost() (*stasis.Host, func()) {
	dir, err := os.MkdirTemp("", "stasis-example-")
	if err != nil {
		log.Fatal(err)
	}
	return &stasis.Host{Home: dir, Cache: cache}, func() { os.RemoveAll(dir) }
}

func Example() {
	host, remove := exampleHost()
	defer remove()
	ctx := context.Background()
	sys, err := host.Run(ctx, stasis.Options{Name: "ticks", Spec: stasis.Spec{Module: guest("tick")}})
	if err != nil {
		log.Fatal(err)
	}
	defer sys.Close()
	exit, err := sys.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = sys.Logs(ctx, stasis.LogOptions{Tail: -1}, func(r stasis.Record) error {
		_, err := os.Stdout.Write(r.Data)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("exit code", exit.Code)
	// Output:
	// 1
	// 2
	// 3
	// 4
	// 5
	// exit code 0
}

// A system is saved in the middle of its work and ended, and goes on from the
// image.
func ExampleSystem_Checkpoint() {
	host, remove := exampleHost()
	defer remove()
	ctx := context.Background()
	sys, err := host.Run(ctx, stasis.Options{Name: "work", Spec: stasis.Spec{
		Module: guest("work"), Args: []string{"work", "a"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer sys.Close()
	image := filepath.Join(os.TempDir(), "stasis-example-"+sys.Name())
	defer os.RemoveAll(image)
	if _, err := sys.Checkpoint(ctx, stasis.CheckpointOptions{Dir: image}); err != nil {
		log.Fatal(err)
	}
	woken, err := host.Run(ctx, stasis.Options{Name: "woken", Spec: stasis.Spec{Image: image}})
	if err != nil {
		log.Fatal(err)
	}
	defer woken.Close()
	if _, err := woken.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	err = woken.Logs(ctx, stasis.LogOptions{Tail: 1}, func(r stasis.Record) error {
		_, err := os.Stdout.Write(r.Data)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: the sum is 3cd15d6c14000000
}

func ExampleHost_List() {
	host, remove := exampleHost()
	defer remove()
	ctx := context.Background()
	for _, name := range []string{"one", "two"} {
		sys, err := host.New(ctx, stasis.Options{Name: name, Spec: stasis.Spec{Module: guest("tick")}})
		if err != nil {
			log.Fatal(err)
		}
		defer sys.Close()
	}
	all, err := host.List(ctx, stasis.Query{})
	if err != nil {
		log.Fatal(err)
	}
	for _, sys := range all {
		p, err := sys.Properties(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.Name, p.State)
	}
	// Output:
	// one created
	// two created
}

// A system in the caller's own process reads and writes the caller's files.
func ExampleHost_Run_inProcess() {
	host, remove := exampleHost()
	defer remove()
	ctx := context.Background()
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	sys, err := host.Run(ctx, stasis.Options{
		Isolation: stasis.InProcess,
		Spec:      stasis.Spec{Module: guest("env"), Args: []string{"env", "hello"}, Env: []string{"A=b"}},
		Start:     stasis.StartOptions{Stdout: w},
	})
	if err != nil {
		log.Fatal(err)
	}
	exit, err := sys.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%sexit code %d\n", out, exit.Code)
	if err := sys.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// env
	// hello
	// A=b
	// exit code 0
}
