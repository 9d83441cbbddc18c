package memfs

import (
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Restore returns the file system of s, which may be hostile, and which nobody may write to afterwards. Of opts, Now is used; quotas and the device
// number are the state's, the budget is that of opts (vfs.ErrNoMemory). Open files come next, through vfs.Restorer, and then
// FinishRestore.
func Restore(s *State, opts Options) (*FS, error) {
	fs := &FS{
		opts:    Options{Now: opts.Now, Bytes: s.Bytes, Inodes: s.Inodes, Dev: s.Dev, Lower: opts.Lower, Budget: opts.Budget},
		nodes:   make(map[uint64]*node),
		lastIno: s.LastIno,
	}
	if s.LastIno > maxNumber {
		return nil, fmt.Errorf("memfs: %d inodes given out: %w", s.LastIno, errBadState)
	}
	if err := checkLower(s.Lower, opts.Lower); err != nil {
		return nil, fmt.Errorf("memfs: %w", err)
	}
	if s.Bytes <= 0 || s.Inodes <= 0 || s.counted() > s.Inodes {
		return nil, fmt.Errorf("memfs: quota of %d bytes and %d inodes, %d in use: %w", s.Bytes, s.Inodes, len(s.Nodes), errBadState)
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if err := fs.restoreNode(n); err != nil {
			return nil, fmt.Errorf("memfs: inode %d: %w", n.Ino, err)
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if err := fs.restoreEntries(n); err != nil {
			return nil, fmt.Errorf("memfs: directory %d: %w", n.Ino, err)
		}
	}
	if err := fs.restoreRoot(s.Root); err != nil {
		return nil, fmt.Errorf("memfs: %w", err)
	}
	return fs, nil
}

// maxNumber bounds inode and entry numbers, which only ever grow, far away
// from where they would wrap.
const maxNumber = 1 << 62

// restoreNode makes the node of s, without its names.
func (fs *FS) restoreNode(s *NodeState) error {
	if s.Ino == 0 || s.Ino > fs.lastIno || fs.nodes[s.Ino] != nil {
		return fmt.Errorf("is there twice, or is not among the %d given out: %w", fs.lastIno, errBadState)
	}
	if s.Atim < 0 || s.Mtim < 0 || s.Ctim < 0 {
		return fmt.Errorf("times %d, %d, %d: %w", s.Atim, s.Mtim, s.Ctim, errBadState)
	}
	n := &node{ino: s.Ino, kind: s.Filetype, atim: s.Atim, mtim: s.Mtim, ctim: s.Ctim}
	file := s.Filetype == abi.FiletypeRegularFile
	switch s.Filetype {
	case abi.FiletypeRegularFile:
		if err := n.data.restore(fs, s); err != nil {
			return err
		}
	case abi.FiletypeSymbolicLink:
		if n.target = s.Target; s.Origin == nil {
			if err := fs.restoreBlocks(linkBlocks(s.Target)); err != nil {
				return err
			}
		} else if s.Origin.Stub && s.Target == "" {
			break
		}
		if s.Target == "" || len(s.Target) >= vfs.MaxPath || strings.IndexByte(s.Target, 0) >= 0 {
			return fmt.Errorf("target of %d bytes: %w", len(s.Target), errBadState)
		}
	case abi.FiletypeDirectory:
		if n.list.lastSeq = s.LastSeq; s.LastSeq > maxNumber {
			return fmt.Errorf("entry number %d: %w", s.LastSeq, errBadState)
		}
	default:
		return fmt.Errorf("is a %v: %w", s.Filetype, errBadState)
	}
	if !file && (s.Size != 0 || len(s.Extents) > 0) || s.Filetype != abi.FiletypeDirectory && len(s.Entries) > 0 {
		return fmt.Errorf("a %v with the content of something else: %w", s.Filetype, errBadState)
	}
	fs.nodes[n.ino] = n
	return fs.restoreOrigin(n, s)
}

// checkLower compares what a state lies over with what there is.
func checkLower(saved string, lower vfs.FileSystem) error {
	switch {
	case saved == "" && lower != nil:
		return fmt.Errorf("lay over nothing, and lies over a %s now", lower.Type())
	case saved != "" && lower == nil:
		return &vfs.MissingError{Kind: "directory below", Name: saved}
	case saved != "" && saved != lower.Type():
		return fmt.Errorf("lay over a %s, and lies over a %s now", saved, lower.Type())
	}
	return nil
}

// counted returns how many nodes the quota counts.
func (s *State) counted() (n int64) {
	for i := range s.Nodes {
		if s.Nodes[i].Origin == nil {
			n++
		}
	}
	return n
}

// restoreOrigin ties n to the lower.
func (fs *FS) restoreOrigin(n *node, s *NodeState) error {
	o := s.Origin
	if o == nil {
		return nil
	}
	if fs.opts.Lower == nil || len(s.Extents) > 0 || o.Loaded && n.kind != abi.FiletypeDirectory || fs.lowerNodes >= maxLowerNodes {
		return fmt.Errorf("comes from below, %d extents: %w", len(s.Extents), errBadState)
	}
	if o.Path != "" {
		if err := checkOrigin(o.Path); err != nil {
			return err
		}
	} else if n.kind != abi.FiletypeDirectory {
		return fmt.Errorf("a %v is the root below: %w", n.kind, errBadState)
	}
	n.lower = &origin{path: o.Path, stub: o.Stub, loaded: o.Loaded, times: o.Times}
	fs.lowerNodes++
	return nil
}

// restore takes over the content of s.
func (c *content) restore(fs *FS, s *NodeState) error {
	if s.Size < 0 || s.Size > maxFileSize {
		return fmt.Errorf("size %d: %w", s.Size, errBadState)
	}
	c.size = s.Size
	next := int64(0)
	for _, e := range s.Extents {
		n := int64(len(e.Data))
		end := (c.size + blockSize - 1) / blockSize * blockSize
		if e.Off < next || e.Off%chunkSize != 0 || n == 0 || n%blockSize != 0 || n > chunkSize || e.Off >= end {
			return fmt.Errorf("extent of %d bytes at %d in a file of %d: %w", n, e.Off, c.size, errBadState)
		}
		if err := fs.restoreBlocks(n / blockSize); err != nil {
			return err
		}
		if c.chunks == nil {
			c.chunks = make(map[int64]*chunk)
		}
		c.chunks[e.Off/chunkSize] = &chunk{b: e.Data, shared: true}
		next = e.Off + chunkSize
	}
	c.wipeTail()
	return nil
}

// restoreBlocks takes blocks for what a state has.
func (fs *FS) restoreBlocks(n int64) error {
	switch {
	case fs.takeLocked(n): // nobody else has it yet
		return nil
	case fs.blocks+n > fs.opts.Bytes/blockSize:
		return fmt.Errorf("contents are over the quota of %d bytes: %w", fs.opts.Bytes, errBadState)
	}
	return fmt.Errorf("contents: %w", vfs.ErrNoMemory)
}

// wipeTail makes true what chunks promise: zeros beyond the end. A state that
// was saved has them, one that was made up may not.
func (c *content) wipeTail() {
	k := c.chunks[c.size/chunkSize]
	if k == nil {
		return
	}
	for i := c.size % chunkSize; i < int64(len(k.b)); i++ {
		if k.b[i] != 0 {
			k.b, k.shared = append([]byte(nil), k.b...), false
			clear(k.b[i:])
			return
		}
	}
}

// restoreEntries gives the nodes in directory s their names.
func (fs *FS) restoreEntries(s *NodeState) error {
	d := fs.nodes[s.Ino]
	last := uint64(firstSeq - 1)
	for _, e := range s.Entries {
		if err := checkName(e.Name); err != nil {
			return err
		}
		n := fs.nodes[e.Ino]
		switch {
		case n == nil:
			return fmt.Errorf("%q: inode %d is not there: %w", e.Name, e.Ino, errBadState)
		case e.Seq <= last || e.Seq > s.LastSeq:
			return fmt.Errorf("%q: number %d after %d, of %d: %w", e.Name, e.Seq, last, s.LastSeq, errBadState)
		case d.list.get(e.Name) != nil:
			return fmt.Errorf("%q is there twice: %w", e.Name, errBadState)
		case n.kind == abi.FiletypeDirectory && n.nlink > 0 || n.nlink >= maxLinks:
			return fmt.Errorf("%q: inode %d has too many names: %w", e.Name, e.Ino, errBadState)
		}
		last = e.Seq
		d.list.lastSeq = e.Seq - 1
		d.list.add(e.Name, n)
		n.nlink++
		if fs.names++; fs.names-fs.lowerNodes > fs.opts.Inodes {
			return fmt.Errorf("more than %d names: %w", fs.opts.Inodes, errBadState)
		}
		if n.kind == abi.FiletypeDirectory {
			n.parent = d
		}
	}
	d.list.lastSeq = s.LastSeq
	return nil
}

// restoreRoot finds the root, and checks that directories form one tree: none
// is the root's parent, and none is out of reach but empty ones that have been
// removed.
func (fs *FS) restoreRoot(ino uint64) error {
	root := fs.nodes[ino]
	if root == nil || root.kind != abi.FiletypeDirectory || root.nlink > 0 {
		return fmt.Errorf("root inode %d is not a directory on its own: %w", ino, errBadState)
	}
	root.nlink, root.parent, fs.root = 1, root, root
	reached := 0
	todo := []*node{root}
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		reached++
		for _, e := range d.list.bySeq {
			if e.node.kind == abi.FiletypeDirectory {
				todo = append(todo, e.node)
			}
		}
	}
	for _, n := range fs.nodes {
		if n.kind != abi.FiletypeDirectory {
			continue
		}
		if n.nlink == 0 && n.list.len() > 0 {
			return fmt.Errorf("directory %d was removed but is not empty: %w", n.ino, errBadState)
		}
		if n.nlink > 0 {
			reached--
		}
	}
	if reached != 0 {
		return fmt.Errorf("directories form a ring: %w", errBadState)
	}
	return nil
}
