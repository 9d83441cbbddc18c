package vfs

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/stasis-run/stasis/internal/abi"
)

const (
	// maxLinks is how many symbolic links one walk follows: Linux's limit.
	maxLinks = 40

	// maxDepth is how many directories deep below its start a walk goes. It
	// holds a handle on each (for ".."), and on the host that is an fd.
	maxDepth = 512
)

// A place is a directory that a walk has come to.
type place struct {
	dir   Dir
	mount *Mount
	path  string // in the guest's tree, for mounts and messages
}

// A target is where a walk ended: a name in a directory, which may or may not
// be there.
type target struct {
	place
	name  string // "." is the directory itself
	slash bool   // a slash followed: it has to be a directory
	up    bool   // the path ended with "..", and name is "."

	// jumped is what a link has led to that has no path; nil else. Name and place
	// are the link's. Counted.
	jumped *OpenFile

	w *walker
}

// guest returns the target's path in the guest's tree.
func (t *target) guest() string {
	if t.name == "." {
		return t.path
	}
	return joinGuest(t.path, t.name)
}

// A walker resolves one path. It is the only thing in the kernel that knows
// what "..", "/" and symbolic links mean.
type walker struct {
	ns    *Namespace
	ctx   *FSContext // if it is not confined: below the first place there is the root
	who   *FSContext // whose walk it is, or nil
	stack []place    // from the start on
	lent  int        // how many places, 0 or 1, at the start of stack are not ours to close
	cwd   *OpenFile  // counted; where the walk started, if it is the working directory
	rest  string     // what is still to be walked
	links int        // symbolic links followed so far
}

// checkPath returns the errno for a path that no file system is asked about.
func checkPath(p string) abi.Errno {
	switch {
	case p == "":
		return abi.ENOENT
	case len(p) > MaxPath:
		return abi.ENAMETOOLONG
	case strings.IndexByte(p, 0) >= 0:
		return abi.EINVAL
	case !utf8.ValidString(p):
		return abi.EILSEQ
	}
	return abi.OK
}

// walk resolves p below base; in a context a nil base is the working directory.
// Follow says whether a symbolic link in the last place is followed. The caller
// closes the walker of the target.
func (r *Resolver) walk(base *OpenFile, p string, follow bool) (*target, abi.Errno) {
	w := &walker{ns: r.ns, ctx: r.ctx, who: r.who, rest: p}
	if errno := w.start(base, p); errno != abi.OK {
		w.close()
		return nil, errno
	}
	t, errno := w.run(follow)
	if errno != abi.OK {
		w.close()
		return nil, errno
	}
	return t, abi.OK
}

// start puts the directory on the stack that the walk of p starts at.
func (w *walker) start(base *OpenFile, p string) abi.Errno {
	if w.ctx != nil {
		if errno := checkPath(p); errno != abi.OK {
			return errno
		}
		if p[0] == '/' {
			return w.toRoot()
		}
		if base == nil {
			w.cwd = w.ctx.CWD()
			base = w.cwd
		}
	}
	d, ok := base.file.(Directory)
	if !ok {
		return abi.ENOTDIR
	}
	if errno := checkPath(p); errno != abi.OK {
		return errno
	}
	if p[0] == '/' {
		return abi.EPERM
	}
	w.stack, w.lent = []place{{d.Dir(), base.mount, base.path}}, 1
	if p, ok := d.Dir().(Personal); ok && w.who != nil {
		w.stack[0].dir, w.lent = p.For(w.who), 0
	}
	return abi.OK
}

// rootOf returns a handle on the root of a mount.
func (w *walker) rootOf(m *Mount) (Dir, abi.Errno) {
	d, errno := m.FS.Root()
	if p, ok := d.(Personal); ok && errno == abi.OK && w.who != nil {
		d = p.For(w.who)
		p.Close()
	}
	return d, errno
}

// toRoot makes the root the only place of the walk.
func (w *walker) toRoot() abi.Errno {
	m := w.ns.MountAt("/")
	if m == nil {
		return abi.ENOENT
	}
	d, errno := w.rootOf(m)
	if errno != abi.OK {
		return errno
	}
	w.clear()
	w.stack, w.lent = append(w.stack, place{d, m, "/"}), 0
	return abi.OK
}

// close gives back the handles that the walk took.
func (w *walker) close() {
	w.clear()
	if w.cwd != nil {
		w.cwd.DecRef()
		w.cwd = nil
	}
}

// clear empties the stack.
func (w *walker) clear() {
	for len(w.stack) > w.lent {
		w.pop()
	}
	w.stack, w.lent = w.stack[:0], 0
}

func (t *target) close() {
	if t.jumped != nil {
		t.jumped.DecRef()
	}
	t.w.close()
}

func (w *walker) top() place { return w.stack[len(w.stack)-1] }

func (w *walker) pop() {
	w.top().dir.Close()
	w.stack = w.stack[:len(w.stack)-1]
}

// next takes the next component off w.rest. Slash says that a slash followed
// it, last that nothing else did.
func (w *walker) next() (name string, slash, last bool) {
	w.rest = strings.TrimLeft(w.rest, "/")
	name, rest, slash := strings.Cut(w.rest, "/")
	w.rest = rest
	return name, slash, strings.Trim(rest, "/") == ""
}

// run walks w.rest to its last component.
func (w *walker) run(follow bool) (*target, abi.Errno) {
	for {
		name, slash, last := w.next()
		var errno abi.Errno
		switch {
		case name == "." || name == "":
			if last {
				return &target{place: w.top(), name: ".", slash: true, w: w}, abi.OK
			}
		case name == "..":
			if errno = w.up(); errno != abi.OK {
				return nil, errno
			}
			if last {
				return &target{place: w.top(), name: ".", slash: true, up: true, w: w}, abi.OK
			}
		case len(name) > MaxName:
			return nil, abi.ENAMETOOLONG
		case !last:
			errno = w.enter(name)
		default:
			var done bool
			var jumped *OpenFile
			if done, jumped, errno = w.end(name, slash, follow); done {
				return &target{place: w.top(), name: name, slash: slash, jumped: jumped, w: w}, abi.OK
			}
		}
		if errno != abi.OK {
			return nil, errno
		}
	}
}

// up goes to the directory above. Above where a confined walk started there is
// nothing; above the root there is the root.
func (w *walker) up() abi.Errno {
	if len(w.stack) > 1 {
		w.pop()
		return abi.OK
	}
	if w.ctx == nil {
		return abi.EPERM
	}
	guest, errno := w.top().guestNow()
	if errno != abi.OK || guest == "/" {
		return errno
	}
	if errno := w.toRoot(); errno != abi.OK {
		return errno
	}
	// From the root down, so that each handle above is there for the next "..".
	if parent := strings.Trim(path.Dir(guest), "/"); parent != "" {
		for name := range strings.SplitSeq(parent, "/") {
			if errno := w.enter(name); errno != abi.OK {
				return errno
			}
		}
	}
	return abi.OK
}

// guestNow returns where a directory is in the guest's tree by now, which its
// path does not tell when one above it was renamed since. ENOENT if it has been
// removed.
func (p place) guestNow() (string, abi.Errno) {
	l, ok := p.dir.(Locator)
	if !ok || p.mount == nil {
		return p.path, abi.OK
	}
	below, errno := l.Where()
	if errno != abi.OK || below == "" {
		return p.mount.Guest, errno
	}
	return joinGuest(p.mount.Guest, below), abi.OK
}

// enter goes into the directory name, or puts the target of the symbolic link
// name in front of what is left.
func (w *walker) enter(name string) abi.Errno {
	if len(w.stack) > maxDepth {
		return abi.ENAMETOOLONG
	}
	at := w.top()
	guest := joinGuest(at.path, name)
	if m := w.ns.MountAt(guest); m != nil {
		d, errno := w.rootOf(m)
		if errno != abi.OK {
			return errno
		}
		w.stack = append(w.stack, place{d, m, guest})
		return abi.OK
	}
	d, errno := at.dir.OpenDir(name)
	if errno == abi.OK {
		w.stack = append(w.stack, place{d, at.mount, guest})
		return abi.OK
	}
	if errno != abi.ENOTDIR {
		return errno
	}
	link, errno := at.dir.Readlink(name)
	if errno == abi.EINVAL {
		return abi.ENOTDIR
	}
	if errno != abi.OK {
		return errno
	}
	return w.expand(link, true)
}

// end looks at the last component. Done means that the walk ends at it;
// otherwise it was a symbolic link, and the walk goes on with its target. Jumped
// is where a link has led that is no path.
func (w *walker) end(name string, slash, follow bool) (done bool, jumped *OpenFile, errno abi.Errno) {
	if !follow || w.ns.MountAt(joinGuest(w.top().path, name)) != nil {
		return true, nil, abi.OK
	}
	if j, ok := w.top().dir.(Jumper); ok && !slash {
		if jumped, errno := j.Jump(name); jumped != nil || errno != abi.OK {
			return jumped != nil, jumped, errno
		}
	}
	link, errno := w.top().dir.Readlink(name)
	if errno != abi.OK {
		return true, nil, abi.OK // not a link, or nothing: the caller will see
	}
	return false, nil, w.expand(link, slash)
}

// expand puts the target of a symbolic link in front of what is left.
func (w *walker) expand(link string, slash bool) abi.Errno {
	if w.links++; w.links > maxLinks {
		return abi.ELOOP
	}
	if errno := checkPath(link); errno != abi.OK {
		return errno
	}
	if link[0] == '/' {
		if w.ctx == nil {
			return abi.EPERM
		}
		if errno := w.toRoot(); errno != abi.OK {
			return errno
		}
	}
	if slash {
		link += "/"
	}
	w.rest = link + w.rest
	return abi.OK
}

// again goes on from a last component that turned out to be a symbolic link
// after all, because it was replaced meanwhile.
func (t *target) again() (*target, abi.Errno) {
	w := t.w
	w.rest = t.name
	if t.slash {
		w.rest += "/"
	}
	if w.links++; w.links > maxLinks {
		return nil, abi.ELOOP
	}
	return w.run(true)
}
