package stasis

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/faultfs"
	"github.com/stasis-run/stasis/internal/image"
)

// Wherever the writing of an image fails, or the machine with it, the system
// goes on, the images from before wake, and none is listed that is not whole.
func TestFaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	step := 1
	if testing.Short() {
		step = 4
	}
	module, err := filepath.Abs("cmd/stasis/testdata/guests/spin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []faultfs.Kind{faultfs.Fail, faultfs.Short, faultfs.Full, faultfs.Kill, faultfs.PowerCut} {
		t.Run(strings.ReplaceAll(kind.String(), " ", ""), func(t *testing.T) {
			h := &Host{Home: t.TempDir(), NoCache: true}
			sys, err := h.Run(ctx, Options{Name: "a", Isolation: InProcess, Spec: Spec{Module: module}})
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Close()
			before, err := sys.Checkpoint(ctx, CheckpointOptions{Leave: true})
			if err != nil {
				t.Fatal(err)
			}
			good := map[string]bool{before.Generation: true}
			failures := 0
			for at := 0; ; at += step {
				fsys := faultfs.New(image.OS, &faultfs.Fault{Kind: kind, At: at})
				h.images = fsys
				st, err := sys.Checkpoint(ctx, CheckpointOptions{Leave: true})
				h.images = nil
				if left := fsys.OpenFiles(); len(left) > 0 {
					t.Errorf("operation %d: open: %v", at, left)
				}
				if err == nil {
					good[st.Generation] = true
				} else {
					failures++
				}
				list := checkImages(ctx, t, h, at)
				for _, im := range list {
					a, ok := attemptOf(sys, im.Config.Generation)
					if !good[im.Config.Generation] && (kind != faultfs.Kill && kind != faultfs.PowerCut || !ok || a.Outcome != AttemptFailed) {
						t.Errorf("operation %d: image of a failed checkpoint: %v", at, err)
					}
				}
				for g := range good {
					if !listed(list, g) {
						t.Errorf("operation %d: image %s is gone", at, g)
					}
				}
				if p, err := sys.Properties(ctx); err != nil || p.State != StateRunning {
					t.Fatalf("operation %d: the system is %s, %v", at, p.State, err)
				}
				if at >= len(fsys.Ops()) {
					break
				}
			}
			if failures < 3 {
				t.Errorf("%d failures only", failures)
			}
			// The first image wakes, and so may the rest.
			dir, err := h.imagePath(before.Generation)
			if err != nil {
				t.Fatal(err)
			}
			woken, err := h.Run(ctx, Options{Name: "b", Isolation: InProcess, Spec: Spec{Image: dir}})
			if err != nil {
				t.Fatal(err)
			}
			defer woken.Close()
			if p, err := woken.Properties(ctx); err != nil || p.State != StateRunning {
				t.Errorf("woken: %s, %v", p.State, err)
			}
			st, err := h.open()
			if err != nil {
				t.Fatal(err)
			}
			if left, err := filepath.Glob(filepath.Join(st.Images(), ".*")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if all, err := sys.Attempts(); err != nil || len(all) != failures+len(good) {
				t.Errorf("%d attempts, %d failures, %d images, %v", len(all), failures, len(good), err)
			}
		})
	}
}

// checkImages lists the images, which are whole.
func checkImages(ctx context.Context, t *testing.T, h *Host, at int) []*Image {
	t.Helper()
	list, damaged, err := h.Images(ctx)
	if err != nil || len(damaged) > 0 {
		t.Fatalf("operation %d: damaged: %v, %v", at, damaged, err)
	}
	for i, im := range list {
		if i > 0 && i < len(list)-1 {
			continue // the latest, which is suspect, and the first
		}
		if err := im.Verify(ctx); err != nil {
			t.Errorf("operation %d: %v", at, err)
		}
	}
	return list
}

func attemptOf(s *System, generation string) (Attempt, bool) {
	all, _ := s.Attempts() // never fails in process
	for _, a := range all {
		if a.Generation == generation {
			return a, true
		}
	}
	return Attempt{}, false
}

func listed(list []*Image, generation string) bool {
	for _, im := range list {
		if im.Config.Generation == generation {
			return true
		}
	}
	return false
}

// Nothing of a checkpoint that fails is left in a directory of the user's.
func TestFaultsInDir(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	module, err := filepath.Abs("cmd/stasis/testdata/guests/spin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{Home: t.TempDir(), NoCache: true}
	sys, err := h.Run(ctx, Options{Name: "a", Isolation: InProcess, Spec: Spec{Module: module}})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	dir := t.TempDir()
	for at := 0; at < 30; at += 3 {
		h.images = faultfs.New(image.OS, &faultfs.Fault{Kind: faultfs.Full, At: at})
		_, err := sys.Checkpoint(ctx, CheckpointOptions{Dir: filepath.Join(dir, "image"), Leave: true})
		left, readErr := os.ReadDir(dir)
		if err == nil {
			break
		}
		if len(left) > 0 || readErr != nil || KindOf(err) != Exhausted {
			t.Errorf("operation %d: %v is %v, left %v, %v", at, err, KindOf(err), left, readErr)
		}
	}
}
