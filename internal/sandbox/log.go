package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

// A logWriter keeps the latest output of a system in two files that take turns:
// when the current one is full, the other is emptied and becomes the current
// one. A record is a line, "TIME STREAM BYTES", then that many bytes and a
// newline; TIME is RFC 3339 in UTC.
type logWriter struct {
	mu    sync.Mutex
	files [2]*os.File // protected by mu
	turn  int         // which is current; protected by mu
	size  int64       // of the current one, in bytes; protected by mu
	limit int64       // of each, in bytes; immutable
	buf   []byte      // protected by mu
	err   error       // the first that a write met; protected by mu
}

// newLogWriter begins a log of at most limit bytes. Nil files keep nothing.
func newLogWriter(files [2]*os.File, limit int64) *logWriter {
	return &logWriter{files: files, limit: max(limit/2, 1<<12)}
}

// write adds a record. A log that cannot be written is no reason to end a
// program: what is lost is said in its place as soon as there is room.
func (l *logWriter) write(stream string, p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files[0] == nil || len(p) == 0 {
		return
	}
	if l.err != nil {
		p = append([]byte(fmt.Sprintf("stasis: output was lost here: %v\n", cause(l.err))), p...)
	}
	l.buf = time.Now().UTC().AppendFormat(l.buf[:0], time.RFC3339Nano)
	l.buf = fmt.Appendf(l.buf, " %s %d\n", stream, len(p))
	l.buf = append(append(l.buf, p...), '\n')
	if l.size > 0 && l.size+int64(len(l.buf)) > l.limit {
		l.turn ^= 1
		l.size = 0
		if l.err = l.files[l.turn].Truncate(0); l.err != nil {
			return
		}
	}
	n, err := l.files[l.turn].WriteAt(l.buf, l.size)
	if l.err = err; err != nil {
		_ = l.files[l.turn].Truncate(l.size) // half a record would end the log for its readers
		return
	}
	l.size += int64(n)
}

// Record is a piece of output in a log.
type Record struct {
	Time   time.Time
	Stream string // stdout or stderr; tty for a terminal's
	Data   []byte
}

// ParseLog reads the records at the start of b and returns how many bytes they
// take. What is not whole yet is left.
func ParseLog(b []byte) (records []Record, n int) {
	for {
		line, rest, ok := bytes.Cut(b[n:], []byte("\n"))
		if !ok {
			return records, n
		}
		var at, stream string
		var size int
		if _, err := fmt.Sscanf(string(line), "%s %s %d", &at, &stream, &size); err != nil || size < 0 || size >= len(rest) {
			return records, n
		}
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return records, n
		}
		records = append(records, Record{Time: t, Stream: stream, Data: rest[:size]})
		n += len(line) + 1 + size + 1
	}
}
