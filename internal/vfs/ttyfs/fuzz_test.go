package ttyfs

import (
	"reflect"
	"testing"

	"github.com/stasis-run/stasis/internal/protostruct"
)

// FuzzTerminal does what ops say: each is a letter, how much of what follows it
// takes, and that. Whatever it is, buffers stay in their bounds, and a restore
// gives the same terminal.
func FuzzTerminal(f *testing.F) {
	f.Add([]byte("t\x06hello\nr\x10w\x05a\tb\ncs\x08\x02\x00\x00\x00\x00\x00\x00\x00o\xff"))
	f.Add([]byte("t\x08\x13abc\x7f\x04\x16\x11w\x02ab\x01h\x00"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		term := New(Options{Signal: func(int32) {}})
		file := term.Open().(*file)
		for len(ops) > 1 {
			op, n := ops[0], int(ops[1])
			ops = ops[2:]
			arg := ops[:min(n, len(ops))]
			ops = ops[len(arg):]
			switch op {
			case 't':
				term.Input(arg)
			case 'T': // much of it
				for range 100 {
					term.Input(arg)
				}
			case 'w':
				file.Write([][]byte{arg})
			case 'W':
				for range 300 {
					file.Write([][]byte{arg})
				}
			case 'r':
				file.Read([][]byte{make([]byte, n)})
			case 'o':
				term.ReadOutput(make([]byte, n))
			case 's':
				tio := term.Termios()
				for i, b := range arg {
					switch {
					case i < 2:
						tio.Iflag ^= uint32(b) << (8 * i)
					case i < 4:
						tio.Oflag ^= uint32(b) << (8 * (i - 2))
					case i < 6:
						tio.Lflag ^= uint32(b) << (8 * (i - 4))
					case i < 6+NCCS:
						tio.Cc[i-6] = b
					}
				}
				term.SetTermios(tio, Action(n%3))
			case 'd':
				term.SetDiscard(n%2 == 0)
			case 'f':
				term.Flush(Queue(n % 4))
			case 'h':
				term.Hangup()
			}
			check(t, term)
		}
		s := term.state()
		again := New(Options{})
		if err := again.load(s); err != nil {
			t.Fatalf("what was saved is refused: %v", err)
		}
		if got := again.state(); !reflect.DeepEqual(got, s) {
			t.Errorf("saved again: %+v, was %+v", got, s)
		}
	})
}

// FuzzRestoreTerminal restores any state. What is taken can be used.
func FuzzRestoreTerminal(f *testing.F) {
	term := New(Options{Name: "console"})
	term.Input([]byte("a\nb\x04cd\x13ef"))
	b, err := protostruct.Marshal(term.state())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, []byte("x\x7f\x7f\x11\n"))
	f.Fuzz(func(t *testing.T, state, typed []byte) {
		term, err := restoreTerminal(func(string) (*Terminal, error) { return New(Options{}), nil }, state)
		if err != nil {
			return
		}
		file := term.Open().(*file)
		term.Input(typed)
		check(t, term)
		file.Write([][]byte{typed})
		for range 3 {
			file.Read([][]byte{make([]byte, 10)})
		}
		term.SetTermios(raw(), TCSANow)
		file.Read([][]byte{make([]byte, 10)})
		term.SetTermios(DefaultTermios(), TCSANow)
		check(t, term)
	})
}

// check looks at the bounds of all buffers.
func check(t *testing.T, term *Terminal) {
	t.Helper()
	size := 0
	for _, op := range term.echoes.ops {
		size += op.size()
	}
	if len(term.queue) > InputSize || len(term.out) > OutputSize || size != term.echoes.size || size >= echoLimit {
		t.Fatalf("%d bytes of input, %d of output, %d (%d) of echoes", len(term.queue), len(term.out), size, term.echoes.size)
	}
	if err := term.state().check(); err != nil {
		t.Fatal(err)
	}
}
