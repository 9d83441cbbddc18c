package portable

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stasis-run/stasis"
)

// TestMain lets this program host systems.
func TestMain(m *testing.M) {
	stasis.SandboxMain()
	os.Exit(m.Run())
}

// TestProcesses: host processes of the foreign architecture, started from ours:
// a system goes from one to the other and back.
func TestProcesses(t *testing.T) {
	_, foreign := sides(t)
	foreign.build(t, "cmd/stasis", false)
	wrapper := filepath.Join(t.TempDir(), "stasis")
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", foreign.emulator[0], foreign.program)
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	here := &stasis.Host{Home: home, NoCache: true, Jail: stasis.JailOff}
	there := &stasis.Host{Home: home, NoCache: true, Jail: stasis.JailOff, Executable: wrapper}
	guest, err := filepath.Abs("../../cmd/stasis/testdata/guests/cat.wasm")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	spec := stasis.Spec{Module: guest, Stdin: true}
	for i, host := range []*stasis.Host{there, here, there} {
		s, err := host.Run(ctx, stasis.Options{Name: fmt.Sprintf("s%d", i), Spec: spec, Start: stasis.StartOptions{Attached: true}})
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("line %d\n", i)
		got := say(ctx, t, s, line)
		if got != line {
			t.Errorf("system %d: %q", i, got)
		}
		dir := filepath.Join(home, fmt.Sprintf("image%d", i))
		if _, err := s.Checkpoint(ctx, stasis.CheckpointOptions{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		spec = stasis.Spec{Image: dir, Stdin: true}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// say gives a guest a line and returns what it says to that.
func say(ctx context.Context, t *testing.T, s *stasis.System, line string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &heard{done: cancel, want: len(line)}
	in, typed := io.Pipe() // it does not end, or the guest would
	go io.WriteString(typed, line)
	if err := s.Attach(ctx, stasis.AttachOptions{Stdin: in, Stdout: out}); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return out.String()
}

// heard ends an attachment when enough has been said.
type heard struct {
	bytes.Buffer
	done func()
	want int
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.Buffer.Write(p)
	if h.Len() >= h.want {
		h.done()
	}
	return n, err
}
