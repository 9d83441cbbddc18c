package memfs

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/vfs"
)

// MountState is a file system with its place in a guest's tree.
type MountState struct {
	Guest    string `pb:"1"`
	ReadOnly bool   `pb:"2"`
	FS       *State `pb:"3"`
}

// SaveMounts saves each FS that is mounted in n, in order of their guest paths.
// It is called while no task runs. An FS is mounted once.
func SaveMounts(n *vfs.Namespace) []MountState {
	var out []MountState
	for _, m := range n.Mounts() {
		if fs, ok := m.FS.(*FS); ok {
			out = append(out, MountState{Guest: m.Guest, ReadOnly: m.ReadOnly, FS: fs.Save()})
		}
	}
	return out
}

// RestoreMounts makes the file systems of list, as Restore does, for
// vfs.Namespace.MountAll: together with those that are not in memory, since one
// may lie in the other.
func RestoreMounts(list []MountState, opts Options) ([]vfs.Mount, error) {
	return RestoreMountsOver(list, opts, func(string) vfs.FileSystem { return nil })
}

// RestoreMountsOver is RestoreMounts for file systems of which some lie over
// others: lower tells what the one at guest lies over, or nil. It fails with a
// *vfs.MissingError if one is needed.
func RestoreMountsOver(list []MountState, opts Options, lower func(guest string) vfs.FileSystem) ([]vfs.Mount, error) {
	var out []vfs.Mount
	for _, m := range list {
		if m.FS == nil {
			return nil, fmt.Errorf("memfs: mount %.300q has no content: %w", m.Guest, errBadState)
		}
		opts.Lower = nil
		if m.FS.Lower != "" {
			if opts.Lower = lower(m.Guest); opts.Lower == nil {
				return nil, &vfs.MissingError{Kind: "directory below", Name: m.Guest}
			}
		}
		fs, err := Restore(m.FS, opts)
		if err != nil {
			return nil, fmt.Errorf("mount %.300q: %w", m.Guest, err)
		}
		out = append(out, vfs.Mount{Guest: m.Guest, FS: fs, ReadOnly: m.ReadOnly})
	}
	return out, nil
}
