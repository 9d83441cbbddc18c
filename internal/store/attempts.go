package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
)

// Outcomes of an attempt.
const (
	Running = "running" // it is under way
	Done    = "done"    // there is an image
	Failed  = "failed"
	Unknown = "unknown" // nobody noted how it ended: the system's process was killed
)

// An Attempt is one checkpoint of a system, also one that failed.
type Attempt struct {
	Number     uint64         `json:"attempt"`
	Generation string         `json:"generation"`
	Image      string         `json:"image,omitempty"` // directory
	Outcome    string         `json:"outcome,omitempty"`
	Error      string         `json:"error,omitempty"`
	Stats      *control.Stats `json:"stats,omitempty"`
	Time       time.Time      `json:"time"` // of its end, or of its begin
}

// AppendAttempt notes the begin of an attempt, which has no outcome, or its end,
// as a line of JSON. f is open for appending.
func AppendAttempt(f *os.File, a Attempt) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if a.Outcome == "" { // of the run before, a crash may have cut a line short
		b = append([]byte{'\n'}, b...)
	}
	_, err = f.Write(b)
	return err
}

// Attempts lists the system's attempts, oldest first.
func (e *Entry) Attempts() ([]Attempt, error) {
	f, err := e.File("attempts", os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Attempt
	at := make(map[uint64]int) // by number
	for lines := bufio.NewReader(io.LimitReader(f, maxFile)); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the end, or a line that a crash cut short
		}
		var a Attempt
		if json.Unmarshal(line, &a) != nil {
			continue // the same, in the middle, or an empty line
		}
		a.Error, a.Image = fault.Clean(a.Error), fault.Clean(a.Image) // as in readExit
		i, ok := at[a.Number]
		if !ok {
			i = len(out)
			at[a.Number] = i
			out = append(out, a)
		}
		out[i] = a
	}
	running := e.Running()
	for i := range out {
		if out[i].Outcome == "" {
			out[i].Outcome = Unknown
			if running && i == len(out)-1 {
				out[i].Outcome = Running
			}
		}
	}
	return out, nil
}
