package procfs

import (
	"fmt"
	"strconv"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
)

// process is /proc/PID.
type process struct {
	opts Options
	pid  uint32
}

// A name is a file of a directory that tells of a process, as text or as a link; or
// neither, and the directory knows what.
type name struct {
	name   string
	format func(*Process) []byte
	link   func(*Process) string
}

// names are those of such a directory; its node function makes the node of each.
type names []name

func (l names) lookup(name string, node func(i int) *pseudofs.Node) (*pseudofs.Node, abi.Errno) {
	for i := range l {
		if l[i].name == name {
			return node(i), abi.OK
		}
	}
	return nil, abi.ENOENT
}

func (l names) list(node func(i int) *pseudofs.Node) (out []pseudofs.Entry) {
	for i := range l {
		n := node(i)
		out = append(out, pseudofs.Entry{Name: l[i].name, Key: uint64(i), Ino: n.Ino, Type: n.Type})
	}
	return out
}

// processFiles are the names in it, in the order of their inodes.
var processFiles = names{
	{name: "cmdline", format: func(p *Process) []byte { return terminated(p.Args) }},
	{name: "comm", format: processComm},
	{name: "cwd", link: func(p *Process) string { return p.CWD }},
	{name: "environ", format: func(p *Process) []byte { return terminated(p.Env) }},
	{name: "exe", link: func(p *Process) string { return p.Exe }},
	{name: "maps", format: maps},
	{name: "root", link: func(*Process) string { return "/" }},
	{name: "stat", format: processStat},
	{name: "statm", format: processStatm},
	{name: "status", format: processStatus},
	{name: "fd"},
	{name: "mounts"},
	{name: "limits", format: processLimits},
	{name: "task"},
}

// node returns the node of an entry of processFiles.
func (d process) node(i int) *pseudofs.Node {
	f := processFiles[i]
	ino := uint64(d.pid)<<pidShift + uint64(i) + 1
	switch {
	case f.name == "fd":
		return &pseudofs.Node{Ino: ino, Type: abi.FiletypeDirectory, Dir: fds(d)}
	case f.name == "task":
		return &pseudofs.Node{Ino: ino, Type: abi.FiletypeDirectory, Dir: tasks(d)}
	case f.name == "mounts":
		return file(ino, func() ([]byte, abi.Errno) { return mounts(d.opts.Mounts()), abi.OK })
	case f.link != nil:
		return &pseudofs.Node{Ino: ino, Type: abi.FiletypeSymbolicLink, Link: func() (string, abi.Errno) {
			p, ok := d.opts.Source.Process(d.pid)
			if !ok || f.link(&p) == "" || p.State == 'Z' {
				return "", abi.ENOENT
			}
			return f.link(&p), abi.OK
		}}
	}
	return file(ino, func() ([]byte, abi.Errno) {
		p, ok := d.opts.Source.Process(d.pid)
		if !ok {
			return nil, abi.ESRCH
		}
		if p.State == 'Z' { // it has nothing any more
			p.Args, p.Env, p.Maps = nil, nil, nil
		}
		return f.format(&p), abi.OK
	})
}

// Lookup is pseudofs.Dir's.
func (d process) Lookup(_ uint32, name string) (*pseudofs.Node, abi.Errno) {
	return processFiles.lookup(name, d.node)
}

// List is pseudofs.Dir's.
func (d process) List(uint32) []pseudofs.Entry {
	return processFiles.list(d.node)
}

// fds is /proc/PID/fd.
type fds process

// Lookup is pseudofs.Dir's.
func (d fds) Lookup(_ uint32, name string) (*pseudofs.Node, abi.Errno) {
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil || n >= vfs.MaxFDs || strconv.FormatUint(n, 10) != name {
		return nil, abi.ENOENT
	}
	f := d.get(vfs.FD(n))
	if f == nil {
		return nil, abi.ENOENT
	}
	defer f.DecRef()
	return &pseudofs.Node{
		Ino: d.ino(vfs.FD(n)), Type: abi.FiletypeSymbolicLink,
		Link: func() (string, abi.Errno) {
			f := d.get(vfs.FD(n))
			if f == nil {
				return "", abi.ENOENT
			}
			defer f.DecRef()
			return describe(f), abi.OK
		},
		Jump: func() (*vfs.OpenFile, abi.Errno) {
			f := d.get(vfs.FD(n))
			if f == nil {
				return nil, abi.ENOENT
			}
			if hasPath(f) {
				f.DecRef()
				return nil, abi.OK // Linux opens it anew, too
			}
			return f, abi.OK
		},
	}, abi.OK
}

// get returns what is open at fd, with a reference, or nil.
func (d fds) get(fd vfs.FD) *vfs.OpenFile {
	table := d.opts.Source.Files(d.pid)
	if table == nil {
		return nil
	}
	f, errno := table.Get(fd, 0)
	if errno != abi.OK {
		return nil
	}
	return f
}

func (d fds) ino(fd vfs.FD) uint64 { return uint64(d.pid)<<pidShift + fdFirst + uint64(fd) }

// List is pseudofs.Dir's.
func (d fds) List(uint32) (out []pseudofs.Entry) {
	table := d.opts.Source.Files(d.pid)
	if table == nil {
		return nil
	}
	for _, f := range table.List() {
		out = append(out, pseudofs.Entry{Name: strconv.FormatUint(uint64(f.FD), 10), Key: uint64(f.FD),
			Ino: d.ino(f.FD), Type: abi.FiletypeSymbolicLink})
	}
	return out
}

// hasPath reports whether f can be opened again by its path.
func hasPath(f *vfs.OpenFile) bool {
	switch f.File().(type) {
	case vfs.Regular, vfs.Directory:
		st, errno := f.Stat()
		return f.Path() != "" && errno == abi.OK && st.Nlink > 0
	}
	return false
}

// describe is where the link of an fd leads.
func describe(f *vfs.OpenFile) string {
	if p, errno := f.PathNow(); p != "" && errno == abi.OK {
		if st, errno := f.Stat(); errno == abi.OK && st.Nlink == 0 {
			return p + " (deleted)"
		}
		return p
	}
	if d, ok := f.File().(vfs.Described); ok {
		return d.Describe()
	}
	st, _ := f.Stat()
	switch st.Filetype {
	case abi.FiletypeSocketStream, abi.FiletypeSocketDgram:
		return fmt.Sprintf("socket:[%d]", st.Ino)
	case abi.FiletypeUnknown:
		return fmt.Sprintf("pipe:[%d]", st.Ino)
	}
	return fmt.Sprintf("anon_inode:[%v]", st.Filetype)
}
