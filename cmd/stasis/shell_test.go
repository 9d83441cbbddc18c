package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stasis-run/stasis/guests"
)

// building is how long building a program may take.
const building = 20 * time.Minute

// program is where a command of others is (package guests), built if it is not there.
func program(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, building)
	defer cancel()
	return guests.Path(ctx, name)
}

// programs reports whether commands of others can be had here.
func programs(t *testing.T, names ...string) bool {
	for _, name := range names {
		if _, err := program(t.Context(), name); guests.IsUnavailable(err) {
			t.Log(err)
			return false
		} else if err != nil {
			t.Error(err)
			return false
		}
	}
	return true
}

// program NAME FILE puts a command of others there.
func cmdProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: program NAME FILE")
	}
	path, err := program(context.Background(), args[0])
	ts.Check(err)
	b, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o755))
}

// A shell on a terminal has job control: ^Z stops what is in the foreground, bg and fg
// have it go on, ^C ends it; the shell itself stays. Saved and woken, it has its jobs.
func TestShellOnATerminal(t *testing.T) {
	dash, err := program(t.Context(), "dash")
	if guests.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ownHost(t)
	x := openTerminal(t)
	x.start("run", "-it", "--rm", "--name", "s", "-e", "PS1=ready> ", dash)
	x.raw()
	x.expect("ready> ")
	// say has the shell print what its command line does not have in it, echoed as it is.
	say := func(x *terminal) { x.keys("echo $((6 * 7))\r"); x.expect("\n42"); x.expect("ready> ") }
	say(x)
	// The last of the pipeline tells that all are in the foreground: what is typed before is the shell's.
	x.keys("while :; do :; done | { echo begun $((1 + 1)) >&2; while read l; do :; done; }\r")
	x.expect("begun 2")
	x.keys("\x1a")
	x.expect("Stopped")
	x.expect("ready> ")
	x.keys("bg\r")
	x.expect("[1]")
	x.expect("ready> ")
	x.keys("jobs\r")
	x.expect("Running")
	x.expect("ready> ")

	y := x.elsewhere("s")
	say(y)
	y.keys("fg\r")
	y.expect("while")
	y.expect("\n")
	y.keys("\x03")
	y.expect("ready> ")
	y.keys("jobs; echo \"status $((100 + 30))\"\r")
	y.expect("\nstatus 130")
	y.keys("kill -TERM $$; exit 3\r") // an interactive shell ignores it
	y.exits(3)
}
