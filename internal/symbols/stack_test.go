package symbols_test

import (
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/symbols"
)

func sample() symbols.Stack {
	place := func(fn uint32) symbols.Place {
		return symbols.Place{
			Func: fn, Name: "f\x1b[2J", Offset: 0x10, Code: 4,
			Lines: []symbols.Line{{Func: "g\x07", File: "a\x1b.c", Line: 3}, {Func: "f", File: "b.c"}},
		}
	}
	return symbols.Stack{
		Task: 1, State: "running\x1b", Waits: "x\x00", Cut: 2,
		Frames: []symbols.Place{place(1), place(2)}, Outer: []symbols.Place{place(3)},
	}
}

// What another process says is fit for a terminal once it is cleaned.
func TestClean(t *testing.T) {
	s := sample()
	s.Clean(fault.Clean)
	text := s.Head() + s.Text()
	if strings.ContainsAny(text, "\x1b\x07\x00") {
		t.Errorf("%q", text)
	}
	want := "  #0  0x000010 g? at a?.c:3, inlined into\n               f?[2J (wasm function 1) at b.c\n"
	if got := s.Text(); !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !strings.Contains(s.Text(), "  … 2 more\n  #4  0x000010 g?") {
		t.Errorf("%s", s.Text())
	}
}

func TestBound(t *testing.T) {
	total := int(sample().Cut) + 3
	last := 1 << 20
	for _, bytes := range []int{1 << 20, 500, 400, 300, 200, 100, 0} {
		s := sample()
		left := s.Bound(bytes)
		if n := len(s.Frames) + int(s.Cut) + len(s.Outer); n != total {
			t.Errorf("%d bytes: %d frames, want %d", bytes, n, total)
		}
		if left > bytes || left < 0 {
			t.Errorf("%d bytes: %d are left", bytes, left)
		}
		if n := len(s.Text()); n > last {
			t.Errorf("%d bytes: a longer text than with more", bytes)
		} else {
			last = n
		}
	}
	s := sample()
	if s.Bound(0); len(s.Frames) != 0 || s.Cut != int32(total) {
		t.Errorf("no bytes: %+v", s)
	}
}
