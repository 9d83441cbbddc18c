// Demo shows what Stasis is for, on a real program: CPython in the middle of
// nested calls is saved, killed, and woken by fresh processes that have neither
// its file nor anything compiled. It ends with one line of result.
//
//	go run ./cmd/demo -stasis bin/stasis
//
// Where CPython cannot be fetched, a Go program takes its place.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/test/mainjob"
)

// wakes is how many times in a row the program is saved and woken.
const wakes = 2

func main() {
	stasis := flag.String("stasis", "bin/stasis", "the command")
	name := flag.String("guest", "cpython", "the program; go where it cannot be had")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the moments of the saves")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	start := time.Now()
	summary, err := demo(ctx, *stasis, *name, *seed)
	fmt.Println()
	if err != nil {
		fmt.Printf("RESULT: FAILED: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("RESULT: ok: %s (%.0f s)\n", summary, time.Since(start).Seconds())
}

func demo(ctx context.Context, stasis, name string, seed uint64) (summary string, err error) {
	stasis, err = filepath.Abs(stasis)
	if err != nil {
		return "", err
	}
	say("A program that was not made for it is stopped in the middle of its calls, saved,")
	say("killed, and goes on in another process as if nothing had been.")
	say("")
	g, module, err := get(ctx, name)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "stasis-demo-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	j, err := mainjob.NewJob(stasis, module, g, g.Args, dir)
	if err != nil {
		return "", err
	}
	say("Program    %s", g.Source)
	say("           %s", g.About)
	say("           stasis run %s %s", filepath.Base(module), strings.Join(j.Args, " "))
	say("")
	say("1. Undisturbed, for comparison. The first run compiles the program.")
	begin := time.Now()
	ref, cpu, err := j.Reference(ctx)
	if err != nil {
		return "", err
	}
	say("   %d lines of output; CPU time %s, with compiling %s", lines(ref), ms(cpu), ms(time.Since(begin)))
	say("   the last: %s", last(ref))
	return chain(ctx, j, ref, cpu, rand.New(rand.NewPCG(seed, 0)))
}

// chain starts the program anew, and saves and wakes it some times.
func chain(ctx context.Context, j *mainjob.Job, ref []byte, cpu time.Duration, r *rand.Rand) (summary string, err error) {
	say("")
	say("2. Once more, in the background, from a copy of its file")
	c, err := j.Start(ctx, ref)
	if c != nil {
		defer func() { err = errors.Join(err, c.Close()) }()
	}
	if err != nil {
		return "", err
	}
	var frames []string
	var killed int
	for n := range wakes {
		s, err := save(ctx, c, ref, cpu, r, n)
		if err != nil {
			return "", err
		}
		frames = append(frames, fmt.Sprint(s.Frames))
		if s.Killed {
			killed++
		}
		took, err := c.Wake(ctx)
		if err != nil {
			return "", err
		}
		say("   stasis restore     in a fresh process with an empty cache: it runs again after %s, most of it", ms(took))
		say("                      compiling the program that lies in the image")
	}
	say("")
	say("%d. It runs to its end", 3+wakes)
	if err := c.Finish(ctx); err != nil {
		return "", err
	}
	say("   what the %d processes printed, put together, and the undisturbed output: no difference, %d bytes", wakes+1, len(ref))
	return fmt.Sprintf("%s saved in the middle of %s calls, its process gone (%d by kill -9), its file deleted, woken %d times by fresh processes with an empty cache; output byte for byte the same",
		j.Guest.Name, strings.Join(frames, " and "), killed, wakes), nil
}

// save saves the program at a random moment, and kills it the first time.
func save(ctx context.Context, c *mainjob.Chain, ref []byte, cpu time.Duration, r *rand.Rand, n int) (s mainjob.Saved, err error) {
	for try := 1; ; try++ {
		at, err := c.At()
		if err != nil {
			return s, err
		}
		at += r.IntN((len(ref)-at)/(wakes-n+1) + 1)
		if err := c.AwaitOutput(ctx, at); err == nil {
			if err := c.AwaitCPU(ctx, time.Duration(r.Int64N(int64(cpu)/int64(try*12)+1))); err != nil {
				return s, err
			}
			s, err = c.Save(ctx, n == 0)
			if err == nil {
				break
			}
			if !errors.Is(err, mainjob.ErrEnded) || try == 5 {
				return s, err
			}
		} else if !errors.Is(err, mainjob.ErrEnded) || try == 5 {
			return s, err
		}
		if err := c.Again(ctx); err != nil { // it was faster than we
			return s, err
		}
	}
	say("")
	say("%d. Saved at a random moment, after %d lines of output of this process", 3+n, s.Lines)
	say("   stasis checkpoint  it was in %d nested calls; stopped in %s, stood still for %s", s.Frames, ms(s.Stop), ms(s.Stopped))
	say("                      image: %s on disk, program included; memory of the program: %s", mib(s.Image), mib(s.Memory))
	if s.Killed {
		say("   kill -9 %-10d its process, which had run on, is gone", s.PID)
	} else {
		say("   (it ends itself)   process %d is gone", s.PID)
	}
	if n == 0 {
		say("   rm program.wasm    the program's file is gone, too")
	}
	return s, nil
}

// get gets the program, or the one of ours that needs no registry.
func get(ctx context.Context, name string) (guests.Guest, string, error) {
	g, err := guests.Lookup(name)
	if err != nil {
		return g, "", err
	}
	cache, err := guests.DefaultCache()
	if err != nil {
		return g, "", err
	}
	cache.Log = func(format string, args ...any) { say("(%s)", fmt.Sprintf(format, args...)) }
	limited, cancel := context.WithTimeout(ctx, 75*time.Second)
	defer cancel()
	module, err := cache.Path(limited, name)
	if err == nil || name == "go" || ctx.Err() != nil {
		return g, module, err
	}
	say("%s cannot be had here:", name)
	say("  %v", err)
	say("A program in Go takes its place.")
	say("")
	if g, err = guests.Lookup("go"); err != nil {
		return g, "", err
	}
	module, err = cache.Path(ctx, "go")
	return g, module, err
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func lines(b []byte) int { return strings.Count(string(b), "\n") }

// last returns the last line.
func last(b []byte) string {
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return all[len(all)-1]
}

func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	if d < time.Second {
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
