package symbols

import (
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/engine"
)

// A Stack is what a task is doing. Its JSON is what users see.
type Stack struct {
	Task   int32   `pb:"1" json:"task"`                // its number
	State  string  `pb:"2" json:"state"`               // running, blocked, stopped
	Waits  string  `pb:"3" json:"waits_for,omitempty"` // the system call that it is in, with its arguments
	Frames []Place `pb:"4" json:"frames"`              // innermost first
	Cut    int32   `pb:"5" json:"cut,omitempty"`       // how many follow that are left out
	Outer  []Place `pb:"6" json:"outer,omitempty"`     // outermost ones below those
}

// Frames describes the frames of a trace.
func (t *Table) Stack(at engine.Trace) Stack {
	places := func(frames []engine.Location) (out []Place) {
		for _, f := range frames {
			out = append(out, t.Place(f.Func, f.Pos))
		}
		return out
	}
	return Stack{Frames: places(at.Frames), Cut: int32(at.Cut), Outer: places(at.Outer)}
}

// Text is the stack of a trace for people: see Stack.Text.
func (t *Table) Text(at engine.Trace) string {
	s := t.Stack(at)
	return s.Text()
}

// Head says which task it is and what it does.
func (s *Stack) Head() string {
	if s.Waits != "" {
		return fmt.Sprintf("task %d, %s in %s:", s.Task, s.State, s.Waits)
	}
	return fmt.Sprintf("task %d, %s:", s.Task, s.State)
}

// Text is the frames for people, innermost first, a line or more each:
//
//	#0  0x000123 divide (wasm function 4) at calc.c:12:9
//	#1  0x000200 check at calc.c:20:2, inlined into
//	             main (wasm function 5) at calc.c:31:7
//
// The number after # counts frames, the next one is the offset in the module's
// file.
func (s *Stack) Text() string {
	var b strings.Builder
	for i := range s.Frames {
		s.Frames[i].write(&b, i)
	}
	if s.Cut > 0 {
		fmt.Fprintf(&b, "  … %d more\n", s.Cut)
	}
	for i := range s.Outer {
		s.Outer[i].write(&b, len(s.Frames)+int(s.Cut)+i)
	}
	return b.String()
}

// write writes the place as frame n of a stack.
func (p *Place) write(b *strings.Builder, n int) {
	indent, _ := fmt.Fprintf(b, "  #%-2d ", n)
	if p.Offset > 0 {
		k, _ := fmt.Fprintf(b, "%#06x ", p.Offset)
		indent += k
	} else {
		b.WriteString("in ")
	}
	for i, l := range p.Lines {
		if i > 0 {
			fmt.Fprintf(b, ", inlined into\n%*s", indent, "")
		}
		name := l.Func
		if i == len(p.Lines)-1 {
			name = p.title()
		}
		fmt.Fprintf(b, "%s at %s", name, l.where())
	}
	if len(p.Lines) == 0 {
		b.WriteString(p.title())
	}
	b.WriteByte('\n')
}

// title is the function's name and number.
func (p *Place) title() string {
	if p.Name == "" {
		return fmt.Sprintf("wasm function %d", p.Func)
	}
	return fmt.Sprintf("%s (wasm function %d)", p.Name, p.Func)
}

// where is the place in the source.
func (l *Line) where() string {
	file := l.File
	if file == "" {
		file = "?"
	}
	switch {
	case l.Line == 0:
		return file
	case l.Column == 0:
		return fmt.Sprintf("%s:%d", file, l.Line)
	}
	return fmt.Sprintf("%s:%d:%d", file, l.Line, l.Column)
}

// Clean makes all texts of a stack that came from another process what clean
// makes of them.
func (s *Stack) Clean(clean func(string) string) {
	s.State, s.Waits = clean(s.State), clean(s.Waits)
	for _, frames := range [][]Place{s.Frames, s.Outer} {
		for i := range frames {
			frames[i].Name = clean(frames[i].Name)
			for k := range frames[i].Lines {
				l := &frames[i].Lines[k]
				l.Func, l.File = clean(l.Func), clean(l.File)
			}
		}
	}
}

// Bound leaves out what is beyond about so many bytes of texts: lines of frames
// first, then frames. It returns what is left of them.
func (s *Stack) Bound(bytes int) (left int) {
	keep := func(frames []Place) int {
		for i := range frames {
			p := &frames[i]
			for _, l := range p.Lines {
				bytes -= len(l.Func) + len(l.File) + 32
			}
			if bytes < 0 {
				p.Lines = nil
			}
			if bytes -= len(p.Name) + 32; bytes < 0 {
				return i
			}
		}
		return len(frames)
	}
	bytes -= len(s.Waits) + 64
	n := keep(s.Frames)
	if n < len(s.Frames) {
		s.Cut += int32(len(s.Frames) - n + len(s.Outer))
		s.Frames, s.Outer = s.Frames[:n], nil
	} else if k := keep(s.Outer); k < len(s.Outer) {
		s.Cut, s.Outer = s.Cut+int32(len(s.Outer)), nil
	}
	return max(bytes, 0)
}
