package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/archive"
	"github.com/stasis-run/stasis/internal/hostterm"
)

func cpCommand() *cobra.Command {
	var o copyFlags
	c := &cobra.Command{
		Use:   "cp [flags] NAME:SRC DEST|-, or SRC|- NAME:DEST",
		Short: "Copy files between a system and the host",
		Long: `Copy files between a system that runs, waits or is paused, and the host; directories
with all that is in them. Paths in a system begin at its root.

As with cp -r, what DEST is decides: in a directory that is there, the copy gets
the name that SRC has; else DEST is its name, in a directory that is there. Of
SRC/. what is in it is copied, without the directory itself. '-' is a tar on
stdout or stdin; what is on stdin is unpacked into the directory DEST.

A system's files in memory go with its process: one that has ended has none.`,
		Example: `  stasis cp job:/out/result.json .
  stasis cp data/. job:/work
  stasis cp job:/out - | tar t`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			err := o.copy(ctx, args[0], args[1])
			if err != nil && ctx.Err() != nil && cmd.Context().Err() == nil {
				return &exitError{code: exitInterrupted}
			}
			return err
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.archive, "archive", "a", false, "keep the times of files")
	f.BoolVarP(&o.follow, "follow-link", "L", false, "copy what the symbolic link SRC leads to")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not say what was copied")
	return c
}

type copyFlags struct {
	archive, follow, quiet bool
}

func (o *copyFlags) copy(ctx context.Context, src, dst string) error {
	from, srcPath := splitPlace(src)
	to, dstPath := splitPlace(dst)
	switch {
	case from != "" && to != "":
		return errors.New("cp: from one system to another: copy it to the host first")
	case from == "" && to == "":
		return errors.New("cp: neither is a file of a system: name one as NAME:PATH")
	case srcPath == "" || dstPath == "":
		return errors.New("cp: name a path, such as NAME:/")
	}
	s, err := host.Open(ctx, from+to)
	if err != nil {
		return err
	}
	defer s.Close()
	var n archive.Count
	switch {
	case from != "" && dst == "-":
		return o.stdout(ctx, s, srcPath)
	case from != "":
		n, err = o.out(ctx, s, srcPath, dstPath)
	case src == "-":
		return o.stdin(ctx, s, dstPath)
	default:
		n, err = o.in(ctx, s, srcPath, dstPath)
	}
	if err != nil {
		return copyError(err, from+to)
	}
	if !o.quiet {
		fmt.Fprintf(os.Stderr, "copied %s to %s\n", amount(n), dst)
	}
	return nil
}

// copyError says which command it was, unless a call of the system says so.
func copyError(err error, name string) error {
	var e *stasis.Error
	if errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("cp %s: %w", name, err)
}

func amount(n archive.Count) string {
	files := "files"
	if n.Files == 1 {
		files = "file"
	}
	size, unit := float64(n.Bytes), ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if size < 1000 {
			break
		}
		size, unit = size/1000, u
	}
	if unit == "" {
		return fmt.Sprintf("%d %s, %d B", n.Files, files, n.Bytes)
	}
	return fmt.Sprintf("%d %s, %.3g %sB", n.Files, files, size, unit)
}

// splitPlace splits NAME:PATH. As docker has it, what begins with a dot or a
// slash is a path of the host, and what has no colon.
func splitPlace(arg string) (name, p string) {
	if filepath.IsAbs(arg) || strings.HasPrefix(arg, ".") {
		return "", arg
	}
	name, p, ok := strings.Cut(arg, ":")
	if !ok || name == "" {
		return "", arg
	}
	return name, p
}

// A target is what a destination's path is now.
type target int

const (
	targetNone target = iota
	targetFile
	targetDir
	targetOther
)

func targetOf(m fs.FileMode) target {
	switch {
	case m.IsDir():
		return targetDir
	case m.IsRegular():
		return targetFile
	}
	return targetOther
}

// wantsDir reports whether a path says that it is a directory.
func wantsDir(p string) bool {
	return p == "." || strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.")
}

// destination is docker's rule of where a copy goes: into the directory dir,
// under name, or "." for what is in it only. Src is the source's path, and dst
// the destination's, which is is now.
func destination(src string, srcDir bool, dst string, is target) (dir, name string, err error) {
	if !srcDir && wantsDir(src) {
		return "", "", fmt.Errorf("%s: it is not a directory", src)
	}
	switch {
	case is == targetDir:
		return dst, archive.BaseName(src), nil
	case is == targetOther:
		return "", "", fmt.Errorf("%s: it is neither a file nor a directory", dst)
	case is == targetFile && srcDir:
		return "", "", fmt.Errorf("%s: it is a file, and %s is a directory", dst, src)
	case is == targetFile && wantsDir(dst):
		return "", "", fmt.Errorf("%s: it is not a directory", dst)
	case is == targetNone && !srcDir && wantsDir(dst):
		return "", "", fmt.Errorf("%s: there is no such directory", dst)
	}
	clean := path.Clean(dst)
	return path.Dir(clean), path.Base(clean), nil
}

// guestPath is a path from the guest's root. What says of it that it is a
// directory stays at its end.
func guestPath(p string) string {
	clean := path.Clean("/" + p)
	switch {
	case clean == "/":
	case strings.HasSuffix(p, "/."):
		clean += "/."
	case strings.HasSuffix(p, "/"):
		clean += "/"
	}
	return clean
}

// maxLinks is how many links of a system are followed one after the other.
const maxLinks = 40

// resolve follows symbolic links of a system in the last place of p, and says
// what it leads to. That may not be there.
func resolve(ctx context.Context, s *stasis.System, p string) (string, stasis.FileInfo, error) {
	for range maxLinks {
		i, err := s.StatFile(ctx, p)
		if err != nil || i.Mode.Type() != fs.ModeSymlink {
			return p, i, err
		}
		if path.IsAbs(i.Link) {
			return p, i, fmt.Errorf("%q: it leads to %q, and absolute links lead nowhere in a guest", p, i.Link)
		}
		p = p[:strings.LastIndexByte(p, '/')+1] + i.Link // the system knows what '..' is
	}
	return p, stasis.FileInfo{}, fmt.Errorf("%q: too many symbolic links", p)
}

// stdout writes a tar to stdout.
func (o *copyFlags) stdout(ctx context.Context, s *stasis.System, src string) error {
	if hostterm.IsTerminal(1) {
		return errors.New("cp: a tar is nothing for a terminal: send it to a file or pipe")
	}
	src, _, err := o.source(ctx, s, src)
	if err != nil {
		return err
	}
	return s.CopyOut(ctx, src, os.Stdout)
}

// source looks at what is to be copied from a system.
func (o *copyFlags) source(ctx context.Context, s *stasis.System, src string) (string, stasis.FileInfo, error) {
	src = guestPath(src)
	if o.follow {
		return resolve(ctx, s, src)
	}
	i, err := s.StatFile(ctx, src)
	return src, i, err
}

// out copies from a system.
func (o *copyFlags) out(ctx context.Context, s *stasis.System, src, dst string) (n archive.Count, err error) {
	named := guestPath(src)
	src, i, err := o.source(ctx, s, src)
	if err != nil {
		return n, err
	}
	dst, is, err := hostTarget(dst)
	if err != nil {
		return n, err
	}
	dir, name, err := destination(named, i.Mode.IsDir(), dst, is)
	if err != nil {
		return n, err
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return n, fmt.Errorf("%s: there is no such directory", dir)
	}
	if err != nil {
		return n, err
	}
	defer root.Close()
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := s.CopyOut(ctx, src, w)
		_ = w.CloseWithError(err)
		sent <- err
	}()
	n, err = archive.Unpack(ctx, r, root, archive.Options{Times: o.archive, From: archive.BaseName(src), To: name})
	if err == nil {
		_, err = io.Copy(io.Discard, r) // what comes after the tar's end
	}
	_ = r.CloseWithError(errUnpack)
	if failed := <-sent; failed != nil && !errors.Is(failed, errUnpack) {
		return n, failed
	}
	return n, err
}

// errUnpack ends a copy whose tar could not be unpacked.
var errUnpack = errors.New("it could not be unpacked")

// hostTarget says what a destination on the host is now. A link is what it leads
// to, which may not be there.
func hostTarget(dst string) (string, target, error) {
	slash := wantsDir(dst)
	for range maxLinks {
		st, err := os.Lstat(filepath.Clean(dst))
		if err == nil && slash {
			st, err = os.Stat(dst)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return dst, targetNone, nil
		case errors.Is(err, unix.ENOTDIR):
			return "", 0, fmt.Errorf("%s: it is not a directory", dst)
		case err != nil:
			return "", 0, err
		case st.Mode().Type() != fs.ModeSymlink:
			return dst, targetOf(st.Mode()), nil
		}
		link, err := os.Readlink(dst)
		if err != nil {
			return "", 0, err
		}
		if !filepath.IsAbs(link) {
			link = filepath.Dir(dst) + "/" + link
		}
		dst = link
	}
	return "", 0, fmt.Errorf("%s: too many symbolic links", dst)
}

// guestTarget is hostTarget for a system.
func guestTarget(ctx context.Context, s *stasis.System, dst string) (string, target, error) {
	p, i, err := resolve(ctx, s, guestPath(dst))
	if stasis.KindOf(err) == stasis.NotFound {
		return p, targetNone, nil
	}
	return p, targetOf(i.Mode), err
}

// stdin unpacks the tar on stdin.
func (o *copyFlags) stdin(ctx context.Context, s *stasis.System, dst string) error {
	dst, is, err := guestTarget(ctx, s, dst)
	if err != nil {
		return err
	}
	if is != targetDir {
		return fmt.Errorf("cp %s: %s: there is no such directory", s.Name(), dst)
	}
	if err := s.CopyIn(ctx, dst, os.Stdin, stasis.CopyOptions{Times: o.archive}); err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, os.Stdin, 1<<20) // so that tar can write its padding
	return nil
}

// in copies into a system.
func (o *copyFlags) in(ctx context.Context, s *stasis.System, src, dst string) (n archive.Count, err error) {
	stat := os.Lstat
	if o.follow || wantsDir(src) {
		stat = os.Stat
	}
	st, err := stat(src)
	if err != nil {
		return n, err
	}
	dst, is, err := guestTarget(ctx, s, dst)
	if err != nil {
		return n, err
	}
	base := src
	if archive.BaseName(src) == ".." || !wantsDir(src) && archive.BaseName(src) == "." {
		base = "."
	}
	dir, name, err := destination(base, st.IsDir(), dst, is)
	if err != nil {
		return n, err
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		var err error
		n, err = archive.Pack(ctx, src, name, o.follow || wantsDir(src), w)
		_ = w.CloseWithError(err)
		packed <- err
	}()
	err = s.CopyIn(ctx, dir, r, stasis.CopyOptions{Times: o.archive})
	_ = r.CloseWithError(errUnpack)
	if failed := <-packed; failed != nil && !errors.Is(failed, errUnpack) {
		err = failed
	}
	return n, err
}
