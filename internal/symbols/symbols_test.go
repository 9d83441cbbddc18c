package symbols_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/symbols"
	"github.com/stasis-run/stasis/internal/wasm"
)

type noHost struct{}

func (noHost) Call(uint32, []uint64) engine.Action { return engine.Return }

// trapOf runs an export of a module of testdata to its trap.
func trapOf(t *testing.T, file, export string, opts wazero.Options, args ...uint64) (*engine.Trap, []byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	e, err := wazero.New(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	m := enginetest.Compile(t, e, b)
	fn, _, ok := m.Export(export)
	if !ok {
		t.Fatalf("no export %s", export)
	}
	th, err := m.New(context.Background(), noHost{}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	if opts.Pass.Counted {
		th.(interface{ SetEvery(int32) }).SetEvery(1)
	}
	if err := th.Start(fn, args); err != nil {
		t.Fatal(err)
	}
	for {
		ev := th.Run(context.Background())
		switch ev.Kind {
		case engine.Exited:
			t.Fatal("no trap")
		case engine.Trapped:
			ev.Trap.Locate()
			return ev.Trap, b
		}
	}
}

// indirectText is the stack of export indirect, of both modules.
const indirectText = `  #0  0x00015c ratio at calc.c:6:11, inlined into
               divide (wasm function 6) at calc.c:11:10
  #1  0x0000b6 descend (wasm function 2) at calc.c:22:10
  #2  0x0000ca descend (wasm function 2) at calc.c:24:9
  #3  0x0000ca descend (wasm function 2) at calc.c:24:9
  #4  0x0000ca descend (wasm function 2) at calc.c:24:9
  #5  0x000102 fold (wasm function 4) at calc.c:30:10
  #6  0x000124 fold (wasm function 4) at calc.c:32:9
  #7  0x000124 fold (wasm function 4) at calc.c:32:9
  #8  0x0000da indirect (wasm function 3) at calc.c:42:9
`

// How the frames were run that are on the stack makes no difference: all at once
// on the engine's stack, taken apart and continued, or interpreted.
var ways = map[string]wazero.Options{
	"at once":     {},
	"continued":   {Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretNone},
	"interpreted": {Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretAlways},
}

func TestTrapText(t *testing.T) {
	for _, file := range []string{"calc4.wasm", "calc5.wasm"} {
		for way, o := range ways {
			trap, b := trapOf(t, file, "indirect", o, 2, 0)
			if text := symbols.New(b).Text(trap.Trace); text != indirectText {
				t.Errorf("%s, %s: stack\n%s\nwant\n%s", file, way, text, indirectText)
			}
		}
	}
}

func TestTrapOfDeepStack(t *testing.T) {
	for _, depth := range []int{40, 150, 20000} {
		for way, o := range ways {
			trap, b := trapOf(t, "calc4.wasm", "run", o, uint64(depth), 0)
			if n := trap.Len(); n != depth+3 {
				t.Errorf("depth %d, %s: %d frames, want %d", depth, way, n, depth+3)
			}
			text := symbols.New(b).Text(trap.Trace)
			calls := min(depth, engine.MaxFrames-2)
			if trap.Cut > 0 {
				calls += engine.MaxOuter - 1
			}
			if n := strings.Count(text, "descend (wasm function 2) at calc.c:24:9"); n != calls {
				t.Errorf("depth %d, %s: %d calls with their line, want %d:\n%s", depth, way, n, calls, text)
			}
			if last := fmt.Sprintf("  #%-2d 0x000099 run (wasm function 1) at calc.c:37:9\n", depth+2); !strings.HasSuffix(text, last) {
				t.Errorf("depth %d, %s: stack ends\n%s, want\n%s", depth, way, text[max(0, len(text)-200):], last)
			}
		}
	}
}

// Where the engine's stack cannot be read, as that of its interpreter, its text is
// taken: functions, and that nothing more is known.
func TestTrapOfOtherEngine(t *testing.T) {
	trap, b := trapOf(t, "calc4.wasm", "indirect", wazero.Options{Interpreter: true}, 0, 0)
	want := "  #0  in divide (wasm function 6)\n  #1  in descend (wasm function 2)\n"
	if text := symbols.New(b).Text(trap.Trace); !strings.HasPrefix(text, want) || !strings.HasSuffix(text, "in indirect (wasm function 3)\n") {
		t.Errorf("stack\n%s, want\n%s…", text, want)
	}
}

// Without DWARF there are names and offsets, without names numbers.
func TestTextOfStripped(t *testing.T) {
	trap, b := trapOf(t, "calc4.wasm", "indirect", wazero.Options{}, 0, 0)
	m, err := wasm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(name string) string {
		c := *m
		c.Customs = nil
		for _, x := range m.Customs {
			if x.Name == name {
				c.Customs = append(c.Customs, x)
			}
		}
		return symbols.New(wasm.Encode(&c)).Text(trap.Trace)
	}
	trap.Frames[0].Pos = 0
	want := "  #0  in divide (wasm function 6)\n  #1  0x0000b6 descend (wasm function 2)\n"
	if got := keep("name"); !strings.HasPrefix(got, want) {
		t.Errorf("names alone:\n%s, want\n%s", got, want)
	}
	want = "  #0  in wasm function 6\n  #1  0x0000b6 wasm function 2\n"
	if got := keep(""); !strings.HasPrefix(got, want) {
		t.Errorf("nothing:\n%s, want\n%s", got, want)
	}
	if got := symbols.New([]byte("junk")).Text(trap.Trace); !strings.HasPrefix(got, "  #0  in wasm function 6\n") {
		t.Errorf("no module: %s", got)
	}
}

// Whatever a module says of itself, a place is described.
func FuzzPlace(f *testing.F) {
	for _, file := range []string{"calc4.wasm", "calc5.wasm"} {
		b, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint32(6), uint32(3), uint16(0), byte(0))
		for at := 0x180; at < len(b); at += 37 {
			f.Add(b, uint32(2), uint32(5), uint16(at), byte(0xff))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, fn, pos uint32, at uint16, v byte) {
		if int(at) < len(b) { // a change that leaves the module's frame whole
			b = append([]byte{}, b...)
			b[at] ^= v
		}
		table := symbols.New(b)
		text := table.Text(engine.Trace{Frames: []engine.Location{{Func: fn, Pos: pos}, {Func: 2, Pos: 5}}, Cut: 3})
		if !strings.Contains(text, "  … 3 more\n") {
			t.Errorf("stack without what is left out: %q", text)
		}
	})
}
