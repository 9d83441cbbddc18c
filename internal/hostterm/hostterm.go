// Package hostterm is the terminal of whoever runs a client: its raw mode, and
// its size.
package hostterm

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// IsTerminal reports whether fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// Raw is a terminal in raw mode.
type Raw struct {
	fd    int           // immutable
	saved *unix.Termios // immutable

	once sync.Once // restores
	err  error     // of that
}

// MakeRaw puts the terminal fd into raw mode, as cfmakeraw(3): keys come one by
// one, none has a meaning, and nothing is echoed or translated. Restore undoes
// it; a program calls that on each of its ways out, signals included.
func MakeRaw(fd int) (*Raw, error) {
	saved, err := retry(func() (*unix.Termios, error) { return unix.IoctlGetTermios(fd, unix.TCGETS) })
	if err != nil {
		return nil, fmt.Errorf("raw mode of descriptor %d: %w", fd, err)
	}
	o := *saved
	o.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	o.Oflag &^= unix.OPOST
	o.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	o.Cflag = o.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	o.Cc[unix.VMIN], o.Cc[unix.VTIME] = 1, 0
	if err := set(fd, &o); err != nil {
		return nil, fmt.Errorf("raw mode of descriptor %d: %w", fd, err)
	}
	return &Raw{fd: fd, saved: saved}, nil
}

// Restore makes the terminal what it was before MakeRaw. It can be called more
// than once, also by several goroutines; the first call does it.
func (r *Raw) Restore() error {
	r.once.Do(func() {
		if err := set(r.fd, r.saved); err != nil {
			r.err = fmt.Errorf("restore descriptor %d: %w", r.fd, err)
		}
	})
	return r.err
}

// set waits until what was written is shown: it was meant for the old mode.
func set(fd int, o *unix.Termios) error {
	_, err := retry(func() (struct{}, error) { return struct{}{}, unix.IoctlSetTermios(fd, unix.TCSETSW, o) })
	return err
}

func retry[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// Winsize is the size of a window in characters.
type Winsize struct {
	Rows, Cols uint16
}

// Size returns the size of the terminal fd.
func Size(fd int) (Winsize, error) {
	ws, err := retry(func() (*unix.Winsize, error) { return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ) })
	if err != nil {
		return Winsize{}, fmt.Errorf("window size of descriptor %d: %w", fd, err)
	}
	return Winsize{ws.Row, ws.Col}, nil
}

// WatchSize calls changed with the size of the terminal fd, now and whenever it
// has changed, from one goroutine. Stop ends that; when it returns, changed is
// not running and is not called any more.
func WatchSize(fd int, changed func(Winsize)) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGWINCH)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer signal.Stop(signals)
		var last *Winsize
		for {
			if ws, err := Size(fd); err == nil && (last == nil || *last != ws) {
				last = &ws
				changed(ws)
			}
			select {
			case <-signals:
			case <-quit:
				return
			}
		}
	})
	var once sync.Once
	return func() {
		once.Do(func() { close(quit) })
		wg.Wait()
	}
}
