package stasis

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oneFile is a tar of one file.
func oneFile(name, data string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(data)), Mode: 0o644, ModTime: time.Unix(1e9, 0)})
	_, _ = io.WriteString(w, data)
	_ = w.Close()
	return b.Bytes()
}

// startSleeper runs a guest in this process that waits.
func startSleeper(t *testing.T) *System {
	t.Helper()
	module, err := filepath.Abs("cmd/stasis/testdata/guests/sleep.wasm")
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{Home: t.TempDir()}
	s, err := h.Run(t.Context(), Options{Isolation: InProcess, Spec: Spec{
		Module: module, Args: []string{"sleep"}, Tmpfs: []Tmpfs{{Guest: "/tmp"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestCopyInProcess(t *testing.T) {
	ctx := t.Context()
	s := startSleeper(t)
	copyBoth := func(when string) {
		t.Helper()
		if err := s.CopyIn(ctx, "/tmp", bytes.NewReader(oneFile("d/f", when)), CopyOptions{Times: true}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		var out bytes.Buffer
		if err := s.CopyOut(ctx, "/tmp/d/f", &out); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		tr := tar.NewReader(&out)
		hd, err := tr.Next()
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		data, err := io.ReadAll(tr)
		if err != nil || string(data) != when || hd.Name != "f" || hd.ModTime.Unix() != 1e9 {
			t.Errorf("%s: %q of %v in %s, %v", when, data, hd.ModTime, hd.Name, err)
		}
	}
	copyBoth("waiting")
	if err := s.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	copyBoth("paused")
	if err := s.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	i, err := s.StatFile(ctx, "/tmp/d")
	if err != nil || !i.Mode.IsDir() {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := s.StatFile(ctx, "/nix"); KindOf(err) != NotFound {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := s.CopyOut(ctx, "/nix", io.Discard); KindOf(err) != NotFound {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := s.CopyIn(ctx, "/", strings.NewReader("junk"), CopyOptions{}); KindOf(err) != Invalid {
		t.Errorf("no tar: %v", err)
	}
	failed := errors.New("no more room")
	if err := s.CopyOut(ctx, "/tmp", failingWriter{failed}); !errors.Is(err, failed) {
		t.Errorf("the writer fails: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A copy whose other side does nothing ends with the system, and with its
// context, and keeps the system from nothing.
func TestCopyEnds(t *testing.T) {
	s := startSleeper(t)
	stuck, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	in := make(chan error, 2)
	go func() { in <- s.CopyIn(ctx, "/", stuck, CopyOptions{}) }()
	_, _ = w.Write(oneFile("f", "x")[:512]) // it has begun
	cancel()
	if err := <-in; KindOf(err) != Canceled {
		t.Errorf("canceled: %v", err)
	}
	stuck2, w2 := io.Pipe()
	defer w2.Close()
	go func() { in <- s.CopyIn(t.Context(), "/", stuck2, CopyOptions{}) }()
	_, _ = w2.Write(oneFile("g", "x")[:512])
	// Saved and ended: what is copied meanwhile would be lost.
	if _, err := s.Checkpoint(t.Context(), CheckpointOptions{Dir: t.TempDir() + "/img"}); err != nil {
		t.Fatal(err)
	}
	if err := <-in; KindOf(err) != WrongState {
		t.Errorf("saved meanwhile: %v", err)
	}
	if _, err := s.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.CopyOut(t.Context(), "/", io.Discard); KindOf(err) != AlreadyStopped {
		t.Errorf("after the end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A system that leads on while it is saved takes files meanwhile.
func TestCopyAndCheckpoint(t *testing.T) {
	s := startSleeper(t)
	r, w := io.Pipe()
	in := make(chan error, 1)
	go func() { in <- s.CopyIn(t.Context(), "/", r, CopyOptions{}) }()
	tarred := oneFile("f", "x")
	_, _ = w.Write(tarred[:512])
	if _, err := s.Checkpoint(t.Context(), CheckpointOptions{Dir: t.TempDir() + "/img", Leave: true}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(tarred[512:])
	w.Close()
	if err := <-in; err != nil {
		t.Error(err)
	}
	if _, err := s.StatFile(t.Context(), "/f"); err != nil {
		t.Error(err)
	}
}
