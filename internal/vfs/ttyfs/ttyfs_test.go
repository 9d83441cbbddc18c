package ttyfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/protostruct"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// openFile returns a file of the guest on t.
func openFile(t *Terminal) *vfs.OpenFile { return vfs.NewOpenFile(t.Open(), true, true, 0) }

func read(f *vfs.OpenFile, n int) string {
	b := make([]byte, n)
	n, errno := f.Read([][]byte{b[:n/2], nil, b[n/2:]})
	if errno != abi.OK {
		return errno.String()
	}
	return string(b[:n])
}

// Lines and their editing. Each typed string is one call of Input.
func TestTyping(t *testing.T) {
	utf8 := func(o *Termios) { o.Iflag |= IUTF8 }
	for _, test := range []struct {
		name  string
		set   func(*Termios)
		typed []string
		shown string
		read  []string // 16 bytes each, then EAGAIN
	}{
		{"line", nil, []string{"hello\r"}, "hello\r\n", []string{"hello\n"}},
		{"two lines", nil, []string{"a\nb\n"}, "a\r\nb\r\n", []string{"a\n", "b\n"}},
		{"no line yet", nil, []string{"hello"}, "hello", nil},
		{"long line", nil, []string{"0123456789abcdefXYZ\n"}, "0123456789abcdefXYZ\r\n", []string{"0123456789abcdef", "XYZ\n"}},
		{"erase", nil, []string{"ab\x7fc\n"}, "ab\b \bc\r\n", []string{"ac\n"}},
		{"erase a control character", nil, []string{"\x01\x7f\n"}, "^A\b \b\b \b\r\n", []string{"\n"}},
		{"erase a tab", nil, []string{"ab\t\x7fc\n"}, "ab\t\b\b\b\b\b\bc\r\n", []string{"abc\n"}},
		{"erase bytes", nil, []string{"é\x7f\n"}, "é\b \b\r\n", []string{"\xc3\n"}},
		{"erase UTF-8", utf8, []string{"aé世\x7f\x7f\n"}, "aé世\b \b\b \b\r\n", []string{"a\n"}},
		{"erase a word", nil, []string{"one two  \x17\n"}, "one two  " + strings.Repeat("\b \b", 5) + "\r\n", []string{"one \n"}},
		{"kill", nil, []string{"abc\x15d\n"}, "abc" + strings.Repeat("\b \b", 3) + "d\r\n", []string{"d\n"}},
		{"kill, not visibly", func(o *Termios) { o.Lflag &^= ECHOKE }, []string{"abc\x15d\n"}, "abc^U\r\nd\r\n", []string{"d\n"}},
		{"end", nil, []string{"\x04"}, "", []string{""}},
		{"end of a part", nil, []string{"abc\x04\x04"}, "abc", []string{"abc", ""}},
		{"end after just what is read", nil, []string{"0123456789abcdef\x04"}, "0123456789abcdef", []string{"0123456789abcdef"}},
		{"literally", nil, []string{"\x16\x03\x16\x04", "\x16", "\x7f\n"}, "^\b^C^\b^D^\b^?\r\n", []string{"\x03\x04\x7f\n"}},
		{"reprint", nil, []string{"ab\x12c\n"}, "ab^R\r\nabc\r\n", []string{"abc\n"}},
		{"no echo", func(o *Termios) { o.Lflag &^= ECHO }, []string{"secret\n"}, "", []string{"secret\n"}},
		{"echo of newlines", func(o *Termios) { o.Lflag = o.Lflag&^ECHO | ECHONL }, []string{"secret\n"}, "\r\n", []string{"secret\n"}},
		{"interrupt", nil, []string{"abc", "\x03d\n"}, "abc^Cd\r\n", []string{"d\n"}},
		{"interrupt at once", nil, []string{"abc\x03d\n"}, "^Cd\r\n", []string{"d\n"}},
		{"interrupt without a flush", func(o *Termios) { o.Lflag |= NOFLSH }, []string{"abc\x03d\n"}, "abc^Cd\r\n", []string{"abcd\n"}},
		{"stop and start", nil, []string{"\x13abc\n", "\x11"}, "abc\r\n", []string{"abc\n"}},
		{"raw", func(o *Termios) { *o = raw() }, []string{"a\r\x03", "\x04"}, "", []string{"a\r\x03\x04"}},
		{"raw with an echo", func(o *Termios) { *o = raw(); o.Lflag |= ECHO | ECHOCTL }, []string{"a\r\n"}, "a^M^J", []string{"a\r\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tio := DefaultTermios()
			if test.set != nil {
				test.set(&tio)
			}
			term := New(Options{Termios: &tio})
			f := openFile(term)
			shown := ""
			for _, s := range test.typed {
				want(t, "taken", term.Input([]byte(s)), len(s))
				shown += term.shown()
			}
			want(t, "shown", shown, test.shown)
			for _, s := range test.read {
				want(t, "readiness", f.Readiness(waiter.In), waiter.In)
				want(t, "read", fmt.Sprintf("%q", read(f, 16)), fmt.Sprintf("%q", s))
			}
			want(t, "readiness at the end", f.Readiness(waiter.In), waiter.EventMask(0))
			want(t, "read at the end", read(f, 16), "EAGAIN")
		})
	}
}

func raw() Termios {
	o := DefaultTermios()
	o.Iflag, o.Oflag, o.Lflag = 0, 0, 0
	return o
}

func TestSignals(t *testing.T) {
	var got []int32
	term := New(Options{Signal: func(s int32) { got = append(got, s) }, Size: Winsize{Rows: 24, Cols: 80}})
	term.Input([]byte("\x03\x1c\x1a"))
	term.Resize(Winsize{Rows: 24, Cols: 80})
	term.Resize(Winsize{Rows: 25, Cols: 80})
	want(t, "size", term.Size(), Winsize{Rows: 25, Cols: 80})
	f := openFile(term)
	term.Input([]byte("line\n"))
	term.Hangup()
	term.Hangup()
	all := []int32{sigInt, sigQuit, sigTstp, sigWinch, sigHup, sigCont}
	if !slices.Equal(got, all) {
		t.Errorf("signals %v, want %v", got, all)
	}
	want(t, "read", read(f, 10), "")
	_, errno := f.Write([][]byte{[]byte("x")})
	want(t, "write", errno, abi.EIO)
	want(t, "readiness", f.Readiness(waiter.In|waiter.Out), waiter.In|waiter.Out|waiter.Err|waiter.Hup)
	want(t, "master", term.Master().Readiness(waiter.Out)&waiter.Hup, waiter.Hup)
}

// WASI's isatty looks at the type and at the rights.
func TestIsTerminal(t *testing.T) {
	f := openFile(New(Options{Ino: 7}))
	st, errno := f.Stat()
	want(t, "stat", errno, abi.OK)
	want(t, "type", st.Filetype, abi.FiletypeCharacterDevice)
	want(t, "ino", st.Ino, uint64(7))
	base, _ := f.Rights()
	want(t, "rights", base, abi.RightsStream)
	_, errno = f.Lseek(0, abi.SeekCur)
	want(t, "seek", errno, abi.ESPIPE)
	if _, ok := Of(f.File()); !ok {
		t.Error("Of does not know it")
	}
}

// How many bytes a raw read waits for.
func TestMin(t *testing.T) {
	for _, test := range []struct {
		min, time uint8
		typed     string
		n         int
		read      string
		ready     waiter.EventMask
	}{
		{1, 0, "", 10, "EAGAIN", 0},
		{1, 0, "ab", 1, "a", waiter.In},
		{3, 0, "ab", 10, "EAGAIN", 0},
		{3, 0, "ab", 2, "ab", 0},
		{3, 0, "abcd", 10, "abcd", waiter.In},
		{0, 0, "", 10, "", 0},
		{0, 0, "a", 10, "a", waiter.In},
		{3, 1, "", 10, "EAGAIN", 0},
		{3, 1, "a", 10, "a", waiter.In},
		{0, 1, "", 10, "EAGAIN", 0},
		{0, 1, "a", 10, "a", waiter.In},
	} {
		tio := raw()
		tio.Cc[VMIN], tio.Cc[VTIME] = test.min, test.time
		term := New(Options{Termios: &tio})
		f := openFile(term)
		term.Input([]byte(test.typed))
		what := fmt.Sprintf("MIN %d, TIME %d, %q, read of %d", test.min, test.time, test.typed, test.n)
		want(t, what, f.Readiness(waiter.In), test.ready)
		want(t, what, read(f, test.n), test.read)
	}
}

// Output waits for the host, and stops the guest.
func TestFlowControl(t *testing.T) {
	var log bytes.Buffer
	term := New(Options{Tee: func(p []byte) { log.Write(p) }})
	f := openFile(term)
	p := bytes.Repeat([]byte("x\n"), OutputSize/2)
	n, errno := f.Write([][]byte{p})
	want(t, "write", errno, abi.OK)
	want(t, "write", n, OutputSize/3*2+1)
	want(t, "log", log.Len(), OutputSize)
	want(t, "full", f.Readiness(waiter.Out), waiter.EventMask(0))
	_, errno = f.Write([][]byte{[]byte("x")})
	want(t, "full", errno, abi.EAGAIN)
	want(t, "master", term.Master().Readiness(waiter.In), waiter.In)

	e, wake := waiter.NewChannelEntry(waiter.Out)
	f.Register(e)
	defer f.Unregister(e)
	term.Input([]byte("typed\n")) // its echo waits
	want(t, "shown", len(term.shown()), OutputSize)
	select {
	case <-wake:
	default:
		t.Error("the writer was not woken")
	}
	want(t, "the echo", term.shown(), "typed\r\n")

	term.Input([]byte("\x13"))
	_, errno = f.Write([][]byte{[]byte("x")})
	want(t, "stopped", errno, abi.EAGAIN)
	want(t, "stopped", f.Readiness(waiter.Out), waiter.EventMask(0))
	log.Reset()
	term.SetDiscard(true)
	for range 10 {
		n, errno = f.Write([][]byte{p[:OutputSize/2]})
		want(t, "discarded", errno, abi.OK)
		want(t, "discarded", n, OutputSize/2)
	}
	want(t, "log", log.Len(), 10*OutputSize/4*3)
	want(t, "shown", term.shown(), "")
	term.SetDiscard(false)
	f.Write([][]byte{[]byte("again")})
	want(t, "shown", term.shown(), "again")
}

// Input that the guest does not read waits with the caller.
func TestBackPressure(t *testing.T) {
	term := New(Options{})
	f := openFile(term)
	line := strings.Repeat("x", 999) + "\n"
	n := term.Input([]byte(strings.Repeat(line, 5)))
	want(t, "taken", n, InputSize-1)
	want(t, "room", term.Master().Readiness(waiter.Out), waiter.EventMask(0))
	e, wake := waiter.NewChannelEntry(waiter.Out)
	term.Master().Register(e)
	defer term.Master().Unregister(e)
	want(t, "read", read(f, 5000), line)
	<-wake
	want(t, "room", term.Master().Readiness(waiter.Out), waiter.Out)
	want(t, "rest", term.Input([]byte(strings.Repeat(line, 5)[n:])), 5000-n)
	for range 4 {
		want(t, "read", read(f, 5000), line)
	}
	want(t, "taken without an end", term.Input(make([]byte, 100_000)), 100_000)
}

func TestFlush(t *testing.T) {
	term := New(Options{})
	f := openFile(term)
	term.Input([]byte("ab\ncd\x04e"))
	want(t, "buffered", term.Buffered(), 5)
	want(t, "flush", term.Flush(InputQueue), abi.OK)
	want(t, "buffered", term.Buffered(), 0)
	want(t, "output stays", term.shown(), "ab\r\ncde")
	f.Write([][]byte{[]byte("x")})
	want(t, "flush", term.Flush(OutputQueue), abi.OK)
	want(t, "shown", term.shown(), "")
	want(t, "flush", term.Flush(8), abi.EINVAL)
	want(t, "set", term.SetTermios(Termios{}, 9), abi.EINVAL)
}

// saveAndRestore returns what term becomes, with the same files.
func saveAndRestore(t testing.TB, term *Terminal, o Options) *Terminal {
	t.Helper()
	ns := vfs.NewNamespace(func() int64 { return 0 })
	table := vfs.NewFDTable(8)
	for range 3 {
		table.InstallAll(openFile(term))
	}
	saver := vfs.NewSaver(ns)
	fds, err := table.Save(saver)
	if err != nil {
		t.Fatal(err)
	}
	b, err := protostruct.Marshal(saver.State())
	if err != nil {
		t.Fatal(err)
	}
	var s vfs.State
	if err := protostruct.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Objects) != 1 || len(s.Files) != 3 {
		t.Fatalf("%d objects and %d files, want 1 and 3", len(s.Objects), len(s.Files))
	}
	r, err := vfs.NewRestorer(&s, ns, map[string]vfs.RestoreFunc{Kind: Restore(func(name string) (*Terminal, error) {
		o.Name = name
		return New(o), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	table, err = vfs.RestoreFDTable(fds, r)
	if err != nil {
		t.Fatal(err)
	}
	var got *Terminal
	for fd := range vfs.FD(3) {
		f, _ := table.Get(fd, 0)
		g, ok := Of(f.File())
		f.DecRef()
		if !ok || got != nil && g != got {
			t.Fatal("the files are not on one terminal any more")
		}
		got = g
	}
	return got
}

// A guest cannot tell that it was checkpointed: at any point of any script, the
// rest gives the same.
func TestRestoreIsInvisible(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		steps := script(r)
		run := func(at int) (out []string) {
			var log []byte
			o := Options{Name: "console", Size: Winsize{Rows: 3, Cols: 4}}
			o.Tee = func(p []byte) { log = append(log, p...) }
			term := New(o)
			for i, s := range steps {
				if i == at {
					term = saveAndRestore(t, term, o)
					want(t, "name", term.Name(), "console")
				}
				if s.op == "drain" {
					s = step{op: "read", n: 100}
				}
				// Every other script shows nothing before its end.
				gave, shown := oursLater(term, s, seed%2 == 0)
				out = append(out, gave, shown)
			}
			return append(out, term.shown(), string(log), fmt.Sprint(term.Size()))
		}
		never := run(-1)
		for at := range steps {
			if got := run(at); !slices.Equal(got, never) {
				t.Fatalf("seed %d: restored before step %d of %v:\n got %q\nwant %q", seed, at, steps, got, never)
			}
		}
	}
}

func oursLater(t *Terminal, s step, show bool) (gave, shown string) {
	if show {
		return ours(t, s)
	}
	return perform(t, s), ""
}

func TestRestoreHostile(t *testing.T) {
	good := *New(Options{Name: "c"}).state()
	for name, spoil := range map[string]func(*State){
		"characters":   func(s *State) { s.Cc = s.Cc[1:] },
		"size":         func(s *State) { s.Cols = 1 << 16 },
		"input":        func(s *State) { s.Input = make([]byte, InputSize+1) },
		"output":       func(s *State) { s.Output = make([]byte, OutputSize+1) },
		"line":         func(s *State) { s.Canon = 2 },
		"no line":      func(s *State) { s.Canon = 0 },
		"end":          func(s *State) { s.Input, s.Ends, s.Canon = []byte("ab"), []uint32{2}, 3 },
		"order":        func(s *State) { s.Input, s.Ends, s.Canon = []byte("ab"), []uint32{1, 0}, 3 },
		"no end":       func(s *State) { s.Input, s.Canon = []byte("ab"), 3 },
		"ends, raw":    func(s *State) { s.Input, s.Ends, s.Canon, s.Lflag = []byte("ab"), []uint32{1}, 3, 0 },
		"echo":         func(s *State) { s.Echoes = []uint32{uint32(opEnd)} },
		"many echoes":  func(s *State) { s.Echoes = make([]uint32, 1<<16) },
		"early echoes": func(s *State) { s.EchoesOld = 1 },
	} {
		s := good
		spoil(&s)
		b, err := protostruct.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := restoreTerminal(func(string) (*Terminal, error) { return New(Options{}), nil }, b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	b, _ := protostruct.Marshal(good)
	_, err := restoreTerminal(func(string) (*Terminal, error) { return nil, nil }, b)
	want(t, "not granted", fmt.Sprint(err), "terminal c is needed and was not granted")
}

// Many of everything at once: nothing is lost, torn, or waits for ever.
func TestConcurrent(t *testing.T) {
	const lines = 2000
	var mu sync.Mutex
	signals := 0
	tio := DefaultTermios()
	tio.Lflag = tio.Lflag&^ECHO | NOFLSH
	teed := 0
	term := New(Options{
		Termios: &tio,
		Signal:  func(int32) { mu.Lock(); signals++; mu.Unlock() },
		Tee:     func(p []byte) { teed += len(p) },
	})
	block := func(s waiter.Source, mask waiter.EventMask, try func() bool) {
		e, wake := waiter.NewChannelEntry(mask)
		s.Register(e)
		defer s.Unregister(e)
		for !try() {
			<-wake
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { // the keyboard
		for i := range lines {
			p := []byte(fmt.Sprintf("line %d\n", i))
			block(term.Master(), waiter.Out, func() bool {
				p = p[term.Input(p):]
				return len(p) == 0
			})
		}
	})
	f := openFile(term)
	wg.Go(func() { // the guest: writes back what it reads
		for i := range lines {
			b := make([]byte, 100)
			var n int
			block(f, waiter.In, func() bool {
				k, errno := f.Read([][]byte{b})
				n = k
				return errno != abi.EAGAIN
			})
			if got, want := string(b[:n]), fmt.Sprintf("line %d\n", i); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
			rest := bytes.Repeat(b[:n], 20)
			block(f, waiter.Out, func() bool {
				k, _ := f.Write([][]byte{rest})
				rest = rest[k:]
				return len(rest) == 0
			})
		}
	})
	done := make(chan struct{})
	shown := 0
	var screen sync.WaitGroup
	screen.Go(func() {
		e, wake := waiter.NewChannelEntry(waiter.In)
		term.Master().Register(e)
		defer term.Master().Unregister(e)
		b := make([]byte, 1000)
		for {
			n := term.ReadOutput(b)
			if shown += n; n > 0 {
				continue
			}
			select {
			case <-wake:
			case <-done:
				if n := term.ReadOutput(b); n == 0 {
					return
				} else {
					shown += n
				}
			}
		}
	})
	wg.Go(func() { // all the rest
		for i := range 500 {
			term.Resize(Winsize{Rows: uint16(i + 1)})
			term.SetTermios(term.Termios(), TCSANow)
			term.Buffered()
			term.Size()
			f.Readiness(waiter.In)
			term.state()
		}
	})
	wg.Wait()
	close(done)
	screen.Wait()
	total := 0
	for i := range lines {
		total += 20 * (len(fmt.Sprintf("line %d\r\n", i)))
	}
	want(t, "shown", shown, total)
	want(t, "teed", teed, total)
	want(t, "signals", signals, 500)
}
