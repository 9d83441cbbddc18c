package ttyfs

import (
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Kind is the kind of a terminal and of its files in a vfs.State. Restore is
// its vfs.RestoreFunc.
const Kind = "terminal"

// State is a terminal: an object of vfs.State.
type State struct {
	Name string `pb:"1"`
	Ino  uint64 `pb:"2"`

	// Its Termios and Winsize.
	Iflag  uint32 `pb:"3"`
	Oflag  uint32 `pb:"4"`
	Cflag  uint32 `pb:"5"`
	Lflag  uint32 `pb:"6"`
	Line   uint32 `pb:"7"`
	Cc     []byte `pb:"8"` // NCCS
	Ispeed uint32 `pb:"9"`
	Ospeed uint32 `pb:"10"`
	Rows   uint32 `pb:"11"`
	Cols   uint32 `pb:"12"`
	XPixel uint32 `pb:"13"`
	YPixel uint32 `pb:"14"`

	// Input is what has not been read; a line that VEOF has ended ends with
	// NUL.
	Input []byte   `pb:"15"`
	Ends  []uint32 `pb:"16"` // indices in Input of the ends of lines, ascending

	// Canon is the index in Input where the line begins that is being typed,
	// plus 1; 0 is before Input.
	Canon   uint32 `pb:"17"`
	Lnext   bool   `pb:"18"`
	Erasing bool   `pb:"19"`

	// Output is what has not been shown. Tee has got it.
	Output      []byte   `pb:"20"`
	Stopped     bool     `pb:"21"`
	Column      uint32   `pb:"22"`
	CanonColumn uint32   `pb:"23"`
	Echoes      []uint32 `pb:"24"` // those that found no room: kind<<8 + byte
	EchoesOld   uint32   `pb:"25"` // how much of them has waited, in Linux's bytes

	HungUp bool `pb:"26"`

	Left bool `pb:"27"` // of a pty: the guest has had it open, and has not now
}

// FileState is a file on a terminal: a file of vfs.State.
type FileState struct {
	Terminal vfs.ObjectID `pb:"1"`
}

var errBadState = errors.New("bad state")

// Save is vfs.File's.
func (f *file) Save(s *vfs.Saver) (vfs.ObjectState, error) {
	id, err := f.t.save(s)
	if err != nil {
		return vfs.ObjectState{}, err
	}
	return vfs.NewObjectState(Kind, FileState{Terminal: id})
}

// save saves the terminal, unless it is already, and returns its id.
func (t *Terminal) save(s *vfs.Saver) (vfs.ObjectID, error) {
	return s.Object(t, func() (vfs.ObjectState, error) { return vfs.NewObjectState(Kind, t.state()) })
}

func (t *Terminal) state() *State {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &State{
		Name: t.name, Ino: t.ino,
		Iflag: t.tio.Iflag, Oflag: t.tio.Oflag, Cflag: t.tio.Cflag, Lflag: t.tio.Lflag,
		Line: uint32(t.tio.Line), Cc: append([]byte(nil), t.tio.Cc[:]...),
		Ispeed: t.tio.Ispeed, Ospeed: t.tio.Ospeed,
		Rows: uint32(t.size.Rows), Cols: uint32(t.size.Cols),
		XPixel: uint32(t.size.XPixel), YPixel: uint32(t.size.YPixel),
		Canon: uint32(t.canon + 1), Lnext: t.lnext, Erasing: t.erasing,
		Output: append([]byte(nil), t.out...), Stopped: t.stopped,
		Column: t.column, CanonColumn: t.canonColumn, EchoesOld: uint32(t.echoes.old),
		HungUp: t.hungUp, Left: t.left,
	}
	for i, c := range t.queue {
		s.Input = append(s.Input, byte(c))
		if c&lineEnd != 0 {
			s.Ends = append(s.Ends, uint32(i))
		}
	}
	for _, op := range t.echoes.ops {
		s.Echoes = append(s.Echoes, uint32(op))
	}
	return s
}

// A Provider returns the terminal that goes by a name now, which New has made
// and nobody has used, or nil if there is none. It is asked once for each.
type Provider func(name string) (*Terminal, error)

// Restore returns the vfs.RestoreFunc of terminals. What is saved replaces all
// that Options say of the Terminal but Name, Signal and Tee; a client of another
// size than the one before calls Resize after the restore. A name that is not
// provided fails with a *vfs.MissingError.
func Restore(p Provider) vfs.RestoreFunc {
	return func(r *vfs.Restorer, data []byte) (vfs.File, error) {
		var s FileState
		if err := protostruct.Unmarshal(data, &s); err != nil {
			return nil, fmt.Errorf("terminal: %w", err)
		}
		t, err := r.Object(s.Terminal, Kind, func(data []byte) (any, error) { return restoreTerminal(p, data) })
		if err != nil {
			return nil, err
		}
		return t.(*Terminal).Open(), nil
	}
}

func restoreTerminal(p Provider, data []byte) (*Terminal, error) {
	var s State
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	t, err := p(s.Name)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, &vfs.MissingError{Kind: Kind, Name: s.Name}
	}
	if err := t.load(&s); err != nil {
		return nil, fmt.Errorf("terminal %s: %w", s.Name, err)
	}
	return t, nil
}

// check refuses a state that nobody can have saved.
func (s *State) check() error {
	canonical := s.Lflag&ICANON != 0
	switch {
	case len(s.Cc) != NCCS || s.Line > 0xff:
		return fmt.Errorf("%d special characters, line discipline %d: %w", len(s.Cc), s.Line, errBadState)
	case max(s.Rows, s.Cols, s.XPixel, s.YPixel) > 0xffff:
		return fmt.Errorf("size %d×%d (%d×%d): %w", s.Rows, s.Cols, s.XPixel, s.YPixel, errBadState)
	case len(s.Input) > InputSize || len(s.Output) > OutputSize:
		return fmt.Errorf("%d bytes of input, %d of output: %w", len(s.Input), len(s.Output), errBadState)
	case int64(s.Canon) > int64(len(s.Input))+1 || canonical && s.Canon == 0:
		return fmt.Errorf("line begins at %d of %d: %w", s.Canon, len(s.Input), errBadState)
	case !canonical && len(s.Ends) > 0:
		return fmt.Errorf("%d lines without ICANON: %w", len(s.Ends), errBadState)
	}
	next := uint32(0)
	for _, i := range s.Ends {
		if i < next || i >= s.Canon-1 {
			return fmt.Errorf("line ends at %d of %d: %w", i, len(s.Input), errBadState)
		}
		next = i + 1
	}
	if canonical && s.Canon-1 != next {
		return fmt.Errorf("line begins at %d, the one before ends at %d: %w", s.Canon, next, errBadState)
	}
	return s.checkEchoes()
}

func (s *State) checkEchoes() error {
	size := 0
	for _, op := range s.Echoes {
		if op >= uint32(opEnd) {
			return fmt.Errorf("echo %#x: %w", op, errBadState)
		}
		size += echoOp(op).size()
	}
	if size >= echoLimit || int64(s.EchoesOld) > int64(size) {
		return fmt.Errorf("%d bytes of echoes, %d of them old: %w", size, s.EchoesOld, errBadState)
	}
	return nil
}

// load makes t what s is.
func (t *Terminal) load(s *State) error {
	if err := s.check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ino = s.Ino
	tio := Termios{
		Iflag: s.Iflag, Oflag: s.Oflag, Cflag: s.Cflag, Lflag: s.Lflag,
		Line: uint8(s.Line), Ispeed: s.Ispeed, Ospeed: s.Ospeed,
	}
	copy(tio.Cc[:], s.Cc)
	t.tio = sane(tio)
	t.special = t.tio.special()
	t.size = Winsize{uint16(s.Rows), uint16(s.Cols), uint16(s.XPixel), uint16(s.YPixel)}
	t.hungUp, t.left = s.HungUp, s.Left
	t.queue = nil
	for _, c := range s.Input {
		t.queue = append(t.queue, cell(c))
	}
	for _, i := range s.Ends {
		t.queue[i] |= lineEnd
	}
	t.canon, t.lnext, t.erasing = int(s.Canon)-1, s.Lnext, s.Erasing
	t.out = append([]byte(nil), s.Output...)
	t.teed = len(t.out)
	t.stopped, t.column, t.canonColumn = s.Stopped, s.Column, s.CanonColumn
	t.echoes = echoes{}
	for _, op := range s.Echoes {
		t.echoes.add(echoOp(op)&^0xff, byte(op))
	}
	t.echoes.old = int(s.EchoesOld)
	if t.discard {
		t.out, t.teed = nil, 0
	}
	if len(t.out) > 0 {
		t.master.Notify(waiter.In)
	}
	return nil
}
