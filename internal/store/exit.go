package store

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stasis-run/stasis/internal/fault"
)

// An Exit is how a run ended.
type Exit struct {
	Code       int       `json:"code"` // for the shell
	Signal     int32     `json:"signal,omitempty"`
	Trap       string    `json:"trap,omitempty"`
	Stack      string    `json:"stack,omitempty"`      // of the trap, or those of all tasks that SIGQUIT asked for; for people
	Core       string    `json:"core,omitempty"`       // file of its core dump
	CoreError  string    `json:"core_error,omitempty"` // why there is none although one was asked for
	Checkpoint string    `json:"checkpoint,omitempty"` // it was saved there and stopped
	Limit      string    `json:"limit,omitempty"`      // that ended it: timeout, cpu-time
	Error      string    `json:"error,omitempty"`      // its host process failed
	Unexpected bool      `json:"unexpected,omitempty"` // nobody wrote how
	Ended      time.Time `json:"ended"`
}

// NewExit makes the file that the end of a new run is written to. What is known of
// the one before goes.
func (e *Entry) NewExit() (*os.File, error) {
	for _, old := range []string{"run.json", "exit"} {
		if err := os.Remove(filepath.Join(e.dir, old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return e.File("exit", os.O_CREATE|os.O_EXCL|os.O_RDWR)
}

// codeUnexpected is the exit code of a system whose host process went without a
// word, most likely by SIGKILL.
const codeUnexpected = 128 + 9

// Exit tells how the latest run ended. A host process that went without a word
// is an unexpected exit. fs.ErrNotExist says that there was no run, or that it
// has not ended.
func (e *Entry) Exit() (Exit, error) {
	f, err := e.File("exit", os.O_RDONLY)
	if err != nil {
		return Exit{}, err
	}
	defer f.Close()
	x, err := readExit(f)
	if err != nil && e.Running() {
		return Exit{}, fs.ErrNotExist
	}
	if err != nil {
		x, err = readExit(f) // it may have ended meanwhile
	}
	if err != nil {
		x = unexpected()
	}
	return x, nil
}

// readExit reads how a run ended, as its host process wrote it.
func readExit(f *os.File) (x Exit, err error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxFile))
	if err != nil {
		return x, err
	}
	err = json.Unmarshal(b, &x)
	for _, s := range []*string{&x.Trap, &x.Stack, &x.Core, &x.CoreError, &x.Checkpoint, &x.Limit, &x.Error} {
		*s = fault.Clean(*s) // it is printed, and the process may have been subverted
	}
	return x, err
}

// ExitOf tells how the run ended whose file NewExit has made. Its process has gone,
// or has said that it has ended.
func ExitOf(f *os.File) Exit {
	x, err := readExit(f)
	if err != nil {
		return unexpected()
	}
	return x
}

// unexpected is the end of a run whose process went without a word.
func unexpected() Exit {
	return Exit{Code: codeUnexpected, Unexpected: true, Error: "its host process ended unexpectedly"}
}

// WriteExit writes how a run ended, to what NewExit made.
func WriteExit(f *os.File, x Exit) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
}
