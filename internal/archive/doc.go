// Package archive moves trees of files in and out of a guest's namespace as tar
// streams.
//
//   - [Write] makes a tar of a guest's files, [Read] puts one among them. Both
//     walk as the guest's own calls do, through vfs.Namespace, and so need no
//     leave but its locks: the guest may run, and change what is copied. What
//     vanishes meanwhile is left out; a file that shrinks is filled up with
//     zeros, one that grows is cut to the length that was announced.
//   - [Pack] makes a tar of the host's files, [Unpack] puts one among them. The
//     tar may come from a hostile sandbox: nothing of it leads out of the
//     os.Root that it is unpacked into.
//
// Nothing is kept but the directories on the way to the present entry, however
// much is copied. Regular files, directories and symbolic links are copied; on
// what else there is, a copy fails.
package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stasis-run/stasis/internal/vfs"
)

// A Count is what was copied.
type Count struct {
	Files int64 // entries: files, directories and links
	Bytes int64 // of files' contents
}

// Options say how a tar is unpacked. The zero value unpacks it as it is.
type Options struct {
	// Times keeps the times of modification. Without, files are as new as
	// they are.
	Times bool

	// From and To give what is unpacked another name: From is the entry that
	// all others lie in, and To what it becomes. An entry elsewhere is refused.
	// Both are single names, or "." for the directory unpacked into; "" is ".".
	From, To string
}

const (
	// maxDepth is how many directories lie in each other at most, as in a walk
	// of package vfs.
	maxDepth = 512

	// bufferSize is what is copied at once, in bytes.
	bufferSize = 64 << 10

	filePerm = 0o644 // of what a guest has, where files have no modes
	dirPerm  = 0o755
)

// Errors about single entries. The text around them names the entry.
var (
	errDirOverFile = errors.New("a directory cannot take the place of a file")
	errFileOverDir = errors.New("a file cannot take the place of a directory")
	errNotCopied   = errors.New("only files, directories and symbolic links can be copied")
	errUp          = errors.New("the name has '..' in it")
	errDeep        = fmt.Errorf("it lies in more than %d directories", maxDepth)
)

// named says what an error is about. Names come from anywhere, and errors go to
// terminals.
func named(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if len(name) > 256 {
		name = name[:256] + "…"
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%q: %w", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// cleanName is the name of an entry, relative and clean: "." is the directory
// that is unpacked into. Slashes in front are dropped, as tar(1) does.
func cleanName(name string) (string, error) {
	for c := range strings.SplitSeq(name, "/") {
		if c == ".." {
			return "", errUp
		}
	}
	if len(name) > vfs.MaxPath {
		return "", errDeep
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return ".", nil
	}
	if strings.Count(name, "/") >= maxDepth {
		return "", errDeep
	}
	return name, nil
}

// rename gives an entry the name that it is unpacked under.
func (o *Options) rename(name string) (string, error) {
	if o.From != "" && o.From != "." {
		rest, ok := strings.CutPrefix(name, o.From)
		if !ok || rest != "" && rest[0] != '/' {
			return "", fmt.Errorf("it is not part of %s", o.From)
		}
		name = "." + rest
	}
	if o.To == "" {
		return path.Clean(name), nil
	}
	return path.Join(o.To, name), nil
}

// BaseName is the name of the entry that a tar of the file p begins with: p's
// last part, or "." if p ends with one, or is the root: then what is in it is
// copied, without itself.
func BaseName(p string) string {
	if p == "." || strings.HasSuffix(p, "/.") {
		return "."
	}
	if base := path.Base(p); base != "/" && base != ".." {
		return base
	}
	return "."
}

// since1970 is t in ns, as guests know times: none before 1970.
func since1970(t time.Time) uint64 {
	if s := t.Unix(); s < 0 || s >= 1<<33 {
		return 0
	}
	return uint64(t.UnixNano())
}
