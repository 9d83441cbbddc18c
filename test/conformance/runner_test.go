package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestValueMatches(t *testing.T) {
	for _, tt := range []struct {
		typ, laneType, val string
		got                []uint64
		want               bool
	}{
		{"i32", "", `"4294967295"`, []uint64{0xffffffff}, true},
		{"i32", "", `"-1"`, []uint64{0xffffffff}, true},
		{"i32", "", `"1"`, []uint64{0x500000001}, true}, // the high half is free
		{"i32", "", `"1"`, []uint64{2}, false},
		{"i64", "", `"1"`, []uint64{0x500000001}, false},
		{"f32", "", `"2147483648"`, []uint64{0}, false}, // -0 is not 0
		{"f32", "", `"nan:canonical"`, []uint64{0x7fc00000}, true},
		{"f32", "", `"nan:canonical"`, []uint64{0xffc00000}, true},
		{"f32", "", `"nan:canonical"`, []uint64{0x7fc00001}, false},
		{"f32", "", `"nan:canonical"`, []uint64{0x7fa00000}, false},
		{"f32", "", `"nan:arithmetic"`, []uint64{0x7fc00001}, true},
		{"f32", "", `"nan:arithmetic"`, []uint64{0x7f800001}, false},
		{"f64", "", `"nan:canonical"`, []uint64{0xfff8000000000000}, true},
		{"f64", "", `"nan:canonical"`, []uint64{0x7ff0000000000000}, false},
		{"f64", "", `"nan:arithmetic"`, []uint64{0x7ff8000000000009}, true},
		{"v128", "i32", `["1","2","3","4"]`, []uint64{0x200000001, 0x400000003}, true},
		{"v128", "i32", `["1","2","3","4"]`, []uint64{0x200000001, 0x500000003}, false},
		{"v128", "f64", `["nan:canonical","1"]`, []uint64{0x7ff8000000000000, 1}, true},
		{"v128", "f64", `["nan:canonical","1"]`, []uint64{0x7ff8000000000000, 2}, false},
		{"externref", "", `"0"`, []uint64{1}, true},
		{"externref", "", `"null"`, []uint64{0}, true},
		{"externref", "", `"null"`, []uint64{1}, false},
		{"funcref", "", ``, []uint64{77}, true},
		{"funcref", "", ``, []uint64{0}, false},
		{"refnull", "", ``, []uint64{0}, true},
	} {
		v := value{Type: tt.typ, LaneType: tt.laneType}
		if tt.val != "" {
			v.Value = json.RawMessage(tt.val)
		}
		if got, err := v.matches(tt.got); err != nil || got != tt.want {
			t.Errorf("%v matches %#x: %v, %v; want %v", v, tt.got, got, err, tt.want)
		}
	}
}

// A spoiler is a host that goes wrong on purpose.
type spoiler struct {
	*plainHost
	results func([]uint64, error) ([]uint64, error) // of each call
	load    func(wasm []byte) error                 // may refuse a module
}

func (h spoiler) Instantiate(ctx context.Context, name string, wasm []byte) (Instance, error) {
	if err := h.load(wasm); err != nil && name != "spectest" {
		return nil, err
	}
	i, err := h.plainHost.Instantiate(ctx, name, wasm)
	if err != nil {
		return nil, err
	}
	return spoiled{i.(plainInstance), h}, nil
}

func (h spoiler) Register(name string, i Instance) {
	h.plainHost.Register(name, i.(interface{ plain() plainInstance }).plain())
}

func (i plainInstance) plain() plainInstance { return i }

type spoiled struct {
	plainInstance
	h spoiler
}

func (i spoiled) Call(ctx context.Context, fn string, args []uint64) ([]uint64, error) {
	return i.h.results(i.plainInstance.Call(ctx, fn, args))
}

// runSpoiled runs one file of suite v2 on h.
func runSpoiled(t *testing.T, ctx context.Context, file string, h spoiler) *fileRun {
	t.Helper()
	dir, err := findDir()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readScript(filepath.Join(dir, "v2", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	h.plainHost = newPlainHost(ctx, allFeatures)
	if h.results == nil {
		h.results = func(r []uint64, err error) ([]uint64, error) { return r, err }
	}
	if h.load == nil {
		h.load = func([]byte) error { return nil }
	}
	f := &fileRun{
		name: "v2/" + file, exec: newExecutor(filepath.Join(dir, "v2", "testdata"), h),
		why: map[string]int{}, skipped: map[string]bool{},
	}
	f.runWatched(ctx, s, filepath.Join(dir, "testdata", "spectest.wasm"))
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	return f
}

// The runner sees what it is there to see.
func TestRunnerNoticesFaults(t *testing.T) {
	flip := func(r []uint64, err error) ([]uint64, error) {
		for i := range r {
			r[i] ^= 1
		}
		return r, err
	}
	ok := func([]uint64, error) ([]uint64, error) { return nil, nil }
	otherTrap := func(r []uint64, err error) ([]uint64, error) {
		if err != nil {
			err = errors.New("another failure")
		}
		return r, err
	}
	refuse := func([]byte) error { return fmt.Errorf("exceptions: %w", ErrUnsupported) }
	for _, tt := range []struct {
		name, file string
		host       spoiler
		want       Counts
	}{
		{"sound", "i32.json", spoiler{}, Counts{458, 0, 2}},
		{"wrong bits", "i32.json", spoiler{results: flip}, Counts{94, 364, 2}},
		{"no traps", "i32.json", spoiler{results: ok}, Counts{84, 374, 2}},
		{"wrong traps", "i32.json", spoiler{results: otherTrap}, Counts{448, 10, 2}},
		{"unsupported", "i32.json", spoiler{load: refuse}, Counts{0, 0, 460}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f := runSpoiled(t, t.Context(), tt.file, tt.host); f.counts != tt.want {
				t.Errorf("%v; want %v", f.counts, tt.want)
			}
		})
	}
}

// After the deadline the commands that are left fail.
func TestRunnerDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	f := runSpoiled(t, ctx, "i32.json", spoiler{results: func(r []uint64, err error) ([]uint64, error) {
		if calls++; calls == 10 {
			cancel()
		}
		return r, err
	}})
	if f.counts.Failed == 0 || !strings.Contains(f.errs[0].Error(), "not reached") {
		t.Errorf("%v, first error %v; want failures of commands not reached", f.counts, f.errs)
	}
}
