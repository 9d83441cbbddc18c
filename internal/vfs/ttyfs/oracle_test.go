package ttyfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
)

// pty is a real pty, whose ends do not block.
type pty struct {
	t             *testing.T
	master, slave int
}

func openPty(t *testing.T) *pty {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	p := &pty{t, m, -1}
	t.Cleanup(p.close)
	n, err := unix.IoctlGetUint32(m, unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pty here: %v", err)
	}
	p.slave, err = unix.Open("/dev/pts/"+strconv.Itoa(int(n)), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	return p
}

func (p *pty) close() {
	for _, fd := range []*int{&p.slave, &p.master} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// await waits until n bytes can be read, for a time.
func (p *pty) await(n int) {
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		if k, err := unix.IoctlGetInt(p.slave, unix.TIOCINQ); err == nil && k == n {
			return
		}
	}
}

func (p *pty) setTermios(o *Termios, a Action) {
	p.t.Helper()
	k := unix.Termios{Iflag: o.Iflag, Oflag: o.Oflag, Cflag: o.Cflag, Lflag: o.Lflag, Line: o.Line, Cc: o.Cc}
	req := map[Action]uint{TCSANow: unix.TCSETS, TCSADrain: unix.TCSETSW, TCSAFlush: unix.TCSETSF}[a]
	if err := unix.IoctlSetTermios(p.slave, req, &k); err != nil {
		p.t.Fatal(err)
	}
}

// settle waits until a file has nothing more to come from the other side, as
// far as poll(2) waits for that: it does if there is nothing yet.
func settle(fd int) bool {
	f := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	unix.Poll(f, 0)
	return f[0].Revents&unix.POLLIN != 0
}

// read returns what one read gives, or "" and the error.
func (p *pty) read(fd, n int) (string, error) {
	b := make([]byte, n)
	for {
		k, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return string(b[:max(k, 0)]), err
	}
}

// shown returns what the terminal shows. It waits for want bytes for a time,
// and then for none.
func (p *pty) shown(want int) string {
	var out []byte
	for end := time.Now().Add(2 * time.Second); ; {
		settle(p.slave) // what was typed gets echoed
		settle(p.master)
		s, err := p.read(p.master, 1<<16)
		out = append(out, s...)
		if err != nil && len(out) >= want || time.Now().After(end) {
			return string(out)
		}
	}
}

func (p *pty) write(fd int, s string) int {
	n, err := unix.Write(fd, []byte(s))
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		p.t.Fatal(err)
	}
	return max(n, 0)
}

// step is something that happens to a terminal.
type step struct {
	op   string // type, write, read, set, drain
	text string
	n    int // how much is read
	tio  Termios
	act  Action
}

func (s step) String() string {
	switch s.op {
	case "set":
		return fmt.Sprintf("set %d i%#o o%#o l%#o cc %q", s.act, s.tio.Iflag, s.tio.Oflag, s.tio.Lflag, s.tio.Cc[:])
	case "read":
		return fmt.Sprintf("read %d", s.n)
	}
	return fmt.Sprintf("%s %q", s.op, s.text)
}

// shown returns all that t shows.
func (t *Terminal) shown() string {
	b := make([]byte, OutputSize)
	return string(b[:t.ReadOutput(b)])
}

// result is what a step gave.
func result(s string, errno string) string { return fmt.Sprintf("%q %s", s, errno) }

// ours does s on t, and returns what it gave and what is shown after it.
func ours(t *Terminal, s step) (gave, shown string) { return perform(t, s), t.shown() }

// perform does s on t.
func perform(t *Terminal, s step) (gave string) {
	f := t.Open().(*file)
	switch s.op {
	case "type":
		gave = strconv.Itoa(t.Input([]byte(s.text)))
	case "write":
		n, _ := f.Write([][]byte{[]byte(s.text)})
		gave = strconv.Itoa(n)
	case "read":
		b := make([]byte, s.n)
		n, errno := f.Read([][]byte{b[:s.n/2], b[s.n/2:]})
		gave = result(string(b[:n]), errno.String())
	case "set":
		t.SetTermios(s.tio, s.act)
	}
	return gave
}

// theirs does s on the pty. Want is what ours gave, which tells for how much to
// wait.
func (p *pty) theirs(s step, want string) (gave, shown string) {
	switch s.op {
	case "type":
		gave = strconv.Itoa(p.write(p.master, s.text))
	case "write":
		gave = strconv.Itoa(p.write(p.slave, s.text))
	case "read":
		settle(p.slave)
		r, err := p.read(p.slave, s.n)
		errno := abi.OK
		if errors.Is(err, unix.EAGAIN) {
			errno = abi.EAGAIN
		} else if err != nil {
			p.t.Fatal(err)
		}
		gave = result(r, errno.String())
	case "set":
		p.setTermios(&s.tio, s.act)
	}
	return gave, p.shown(len(want))
}

// alphabet is what random steps are made of.
var alphabet = []string{
	"a", "b", "Z", "0", "_", " ", " ", ".", "-", "\t", "\t", "\r", "\n", "\n", "\b",
	"\x7f", "\x7f", "\x7f", "\x17", "\x15", "\x04", "\x04", "\x16", "\x12", "\x03", "\x1c", "\x1a",
	"\x11", "\x13", "\x1b", "\x1b[A", "\x00", "\x01", "\x0e", "\x0f", "é", "ß", "世", "🙂", "\xff", "\xc3", "\xa9", "\xd7",
	"word word", "foo\tbar", "x\ty",
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func text(r *rand.Rand, n int) string {
	var b bytes.Buffer
	for range n {
		b.WriteString(pick(r, alphabet...))
	}
	return b.String()
}

// subset returns each of the flags with some probability.
func subset(r *rand.Rand, chance float64, flags ...uint32) (f uint32) {
	for _, b := range flags {
		if r.Float64() < chance {
			f |= b
		}
	}
	return f
}

func randomTermios(r *rand.Rand, canonical bool) Termios {
	o := DefaultTermios()
	if r.IntN(4) > 0 {
		o.Iflag = subset(r, 0.3, ISTRIP, INLCR, IGNCR, IXON, IXANY, IMAXBEL) | subset(r, 0.6, ICRNL, IUTF8)
		o.Oflag = subset(r, 0.7, OPOST, ONLCR) | subset(r, 0.3, OCRNL, ONOCR, ONLRET, XTABS)
		o.Lflag = subset(r, 0.8, ECHO, ECHOE, ECHOK, ECHOKE, ECHOCTL, IEXTEN) | subset(r, 0.3, ECHONL, ECHOPRT, ISIG, NOFLSH)
	} else {
		o.Iflag |= IUTF8
	}
	o.Lflag &^= ICANON
	if canonical {
		o.Lflag |= ICANON
	}
	for _, i := range []int{VINTR, VERASE, VWERASE, VKILL, VEOF, VEOL, VEOL2, VLNEXT, VREPRINT, VSTOP} {
		if r.IntN(12) == 0 {
			o.Cc[i] = pick[uint8](r, 0, 'a', ' ', '\b', '.', '\t', 0xff, 0xa9)
		}
	}
	o.Cc[VMIN] = pick[uint8](r, 0, 1, 1)
	return o
}

// script returns random steps. What is typed can be read only when the line
// discipline has got to it, which nothing but a read or poll that finds
// nothing waits for. So there are two kinds of scripts: those that read all
// after whatever is typed, and those that type much and read it at the end.
func script(r *rand.Rand) []step {
	canonical := r.IntN(3) > 0
	steps := []step{{op: "set", tio: randomTermios(r, canonical), act: TCSANow}}
	later := r.IntN(2) == 0
	for range 1 + r.IntN(8) {
		if r.IntN(4) == 0 {
			steps = append(steps, step{op: "write", text: text(r, r.IntN(10))})
		}
		if !later && r.IntN(5) == 0 {
			steps = append(steps, step{op: "set", tio: randomTermios(r, r.IntN(3) > 0), act: Action(r.IntN(3))})
		}
		steps = append(steps, step{op: "type", text: text(r, 1+r.IntN(12))})
		if !later {
			for range 3 {
				steps = append(steps, step{op: "read", n: pick(r, 1, 3, 7, 100)})
			}
			steps = append(steps, step{op: "drain"})
		}
	}
	return append(steps, step{op: "drain"})
}

// drain reads until nothing is left.
func drain(read func() (gave string)) string {
	var all []string
	for range 5000 {
		s := read()
		all = append(all, s)
		if s == result("", "EAGAIN") || s == result("", "OK") && len(all) > 100 {
			break
		}
	}
	return strings.Join(all, ", ")
}

// compare runs steps on both, and returns what is different. Pause is how long
// it waits for Linux to have taken what was typed.
func compare(t *testing.T, steps []step, pause time.Duration) (diff string) {
	t.Helper()
	p := openPty(t)
	defer p.close()
	teed := 0
	term := New(Options{Tee: func(p []byte) { teed += len(p) }})
	for i, s := range steps {
		teed = 0
		var gave, shown, wantGave, wantShown string
		if s.op == "drain" {
			read := step{op: "read", n: 100}
			gave = drain(func() string { g, _ := ours(term, read); return g })
			wantGave = drain(func() string { g, _ := p.theirs(read, ""); return g })
		} else {
			gave, shown = ours(term, s)
			wantGave, wantShown = p.theirs(s, shown)
		}
		if s.op == "type" {
			p.await(term.Buffered())
			time.Sleep(pause)
		}
		// A signal character discards echoes of the same step that were on
		// their way already, if the pty's other end has not got them: that
		// depends on when Linux moves them there.
		if len(shown) < teed && strings.HasSuffix(wantShown, shown) {
			wantShown = shown
		}
		if gave != wantGave || shown != wantShown {
			for j, s := range steps[:i] {
				diff += fmt.Sprintf("%d: %v\n", j, s)
			}
			return diff + fmt.Sprintf("%v:\n gave %s\n want %s\nshowed %q\n  want %q", s, gave, wantGave, shown, wantShown)
		}
	}
	return ""
}

func TestLikeLinux(t *testing.T) {
	cases := 1500
	if testing.Short() {
		cases = 400
	}
	failed := 0
	for seed := range uint64(cases) {
		steps := script(rand.New(rand.NewPCG(seed, 1)))
		diff := compare(t, steps, 0)
		for _, pause := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond} {
			if diff != "" { // Linux may have been late
				diff = compare(t, steps, pause)
			}
		}
		if diff != "" {
			t.Errorf("seed %d:\n%s", seed, diff)
			if failed++; failed == 3 {
				t.FailNow()
			}
		}
	}
}

// A line that is too long is treated as on Linux.
func TestLongLineLikeLinux(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 300)
	for name, steps := range map[string][]step{
		"line":                {{op: "type", text: long}, {op: "type", text: "\x7fx\x7fy\n"}},
		"line, ended by VEOF": {{op: "type", text: long[:4095]}, {op: "type", text: "\x04"}},
		"line, killed":        {{op: "type", text: long}, {op: "type", text: "\x15again\n"}},
		"line at its limit":   {{op: "type", text: long[:4095]}, {op: "type", text: "\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			// Linux takes what is typed in parts, and echoes each: this is
			// about what is read.
			quiet := DefaultTermios()
			quiet.Lflag &^= ECHO
			steps = append([]step{{op: "set", tio: quiet}}, steps...)
			steps = append(steps, step{op: "read", n: 3}, step{op: "read", n: 5000}, step{op: "drain"})
			if diff := compare(t, steps, 20*time.Millisecond); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// DefaultTermios are Linux's.
func TestDefaultLikeLinux(t *testing.T) {
	p := openPty(t)
	k, err := unix.IoctlGetTermios(p.slave, unix.TCGETS2)
	if err != nil {
		t.Fatal(err)
	}
	got := Termios{k.Iflag, k.Oflag, k.Cflag, k.Lflag, k.Line, k.Cc, k.Ispeed, k.Ospeed}
	if want := DefaultTermios(); got != want {
		t.Errorf("Linux has %+v, DefaultTermios is %+v", got, want)
	}
}
