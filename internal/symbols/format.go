package symbols

import (
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/engine"
)

// Text is a stack for people, innermost frame first, a line or more each:
//
//	#0 0x0123 divide (wasm function 4) at calc.c:12:9
//	#1 0x0200 check at calc.c:20:2, inlined into
//	   main (wasm function 5) at calc.c:31:7
//
// The number after # counts frames, the next one is the offset in the module.
func (t *Table) Text(at engine.Trace) string {
	var b strings.Builder
	n := 0
	add := func(frames []engine.Location) {
		for _, f := range frames {
			p := t.Place(f.Func, f.Pos)
			p.write(&b, n)
			n++
		}
	}
	add(at.Frames)
	if at.Cut > 0 {
		fmt.Fprintf(&b, "  … %d more\n", at.Cut)
		n += at.Cut
	}
	add(at.Outer)
	return b.String()
}

// String is the place as frame n of a stack.
func (p *Place) write(b *strings.Builder, n int) {
	indent, _ := fmt.Fprintf(b, "  #%-2d ", n)
	if p.Offset >= 0 {
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
	switch {
	case l.Line == 0:
		return l.File
	case l.Column == 0:
		return fmt.Sprintf("%s:%d", l.File, l.Line)
	}
	return fmt.Sprintf("%s:%d:%d", l.File, l.Line, l.Column)
}
