package stasis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/launch"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
)

// ImageConfig is what anyone may read of an image.
type ImageConfig = image.Config

// An Image is a checkpoint's image: a directory, complete and unchanging.
type Image struct {
	Dir    string      `json:"dir"`
	Tags   []string    `json:"tags,omitempty"` // its names in the store
	Config ImageConfig `json:"config"`
	Size   int64       `json:"size"` // bytes on disk, holes not counted
}

// System is the name of the system that was saved.
func (i *Image) System() string { return i.Config.Info["system"] }

// TTY reports whether the system that was saved has a terminal.
func (i *Image) TTY() bool { return i.Config.Info["tty"] != "" }

// Images lists the images in the store, those made last first. What is damaged
// is listed with what is wrong with it, in damaged.
func (h *Host) Images(ctx context.Context) (images []*Image, damaged []error, err error) {
	st, err := h.open()
	if err != nil {
		return nil, nil, failed("images", "", err)
	}
	_ = image.Clean(image.OS, st.Images()) // or the next one does it
	names, err := image.List(image.OS, st.Images())
	if err != nil {
		return nil, nil, failed("images", "", err)
	}
	tags, err := st.Tags()
	if err != nil {
		return nil, nil, failed("images", "", err)
	}
	for _, name := range names {
		im, err := openImage(filepath.Join(st.Images(), name))
		if err != nil {
			damaged = append(damaged, failed("image", name, err))
			continue
		}
		im.Tags = tags[im.Config.Generation]
		images = append(images, im)
	}
	slices.SortFunc(images, func(a, b *Image) int { return b.Config.Created.Compare(a.Config.Created) })
	return images, damaged, nil
}

// openImage reads what an image says of itself.
func openImage(dir string) (*Image, error) {
	c, err := image.OpenConfig(image.OS, dir)
	if err != nil {
		return nil, err
	}
	return &Image{Dir: dir, Config: c, Size: diskSize(dir)}, nil
}

// diskSize is what the files of a directory take, in bytes.
func diskSize(dir string) (n int64) {
	entries, _ := os.ReadDir(dir) // what cannot be seen counts for nothing
	for _, e := range entries {
		if st, err := os.Lstat(filepath.Join(dir, e.Name())); err == nil {
			n += allocated(st)
		}
	}
	return n
}

// Image finds an image: by its directory, its tag, the start of its generation,
// or the name of a system, whose latest image it then is.
func (h *Host) Image(ctx context.Context, ref string) (*Image, error) {
	if ref == "" {
		return nil, failed("image", ref, fault.New(fault.Invalid, "no name"))
	}
	dir, err := filepath.Abs(ref)
	if err != nil {
		return nil, failed("image", ref, err)
	}
	if st, err := os.Lstat(dir); err == nil && st.IsDir() || strings.Contains(ref, "/") {
		if err != nil {
			return nil, failed("image", ref, fault.Advise(fault.NotFound, errors.New("no such directory"), "name what checkpoint has written; stasis image ls lists the images in the store"))
		}
		im, err := openImage(dir)
		if err != nil {
			return nil, failed("image", ref, err)
		}
		return im, nil
	} else if err == nil {
		return nil, failed("image", ref, fault.Advise(fault.NotRunnable, errors.New("it is not a directory"), "name what checkpoint has written"))
	}
	all, damaged, err := h.Images(ctx)
	if err != nil {
		return nil, err
	}
	if im := pick(all, ref); im != nil {
		return im, nil
	}
	for _, d := range damaged {
		if strings.Contains(d.Error(), ref) {
			return nil, d
		}
	}
	return nil, failed("image", ref, fault.Advise(fault.NotFound, errors.New("no such image"), "stasis image ls lists what there is"))
}

// minPrefix is the least length of an abbreviated generation.
const minPrefix = 4

// pick finds an image by its tag, the start of its generation, or its system;
// all are sorted, those made last first.
func pick(all []*Image, ref string) *Image {
	for _, im := range all {
		if slices.Contains(im.Tags, ref) {
			return im
		}
	}
	for _, im := range all {
		if len(ref) >= minPrefix && strings.HasPrefix(im.Config.Generation, ref) {
			return im
		}
	}
	for _, im := range all {
		if im.System() == ref {
			return im
		}
	}
	return nil
}

// CheckModule refuses a file that cannot be a module, without compiling it.
func CheckModule(path string) error {
	f, err := launch.OpenModule(path)
	if err == nil {
		defer f.Close()
		_, err = sandbox.ReadModule(f)
	}
	return failed("create", filepath.Base(path), err)
}

// Verify reads every byte of the image and compares it with its digests.
func (i *Image) Verify(ctx context.Context) error {
	im, err := image.Open(image.OS, i.Dir)
	if err != nil {
		return failed("verify", i.Dir, err)
	}
	defer im.Close()
	return failed("verify", i.Dir, im.Verify())
}

// RemoveImage removes an image, and its tags if it is in the store.
func (h *Host) RemoveImage(ctx context.Context, i *Image) error {
	if err := image.Remove(image.OS, i.Dir); err != nil {
		return failed("remove", i.Dir, err)
	}
	st, err := h.open()
	if err != nil {
		return failed("remove", i.Dir, err)
	}
	for _, tag := range i.Tags {
		if err := st.Untag(tag); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed("remove", i.Dir, err)
		}
	}
	return nil
}

// checkTag refuses what cannot be the tag of a new image.
func (h *Host) checkTag(tag string) error {
	if err := spec.CheckName(tag); err != nil {
		return invalid(err)
	}
	st, err := h.open()
	if err != nil {
		return err
	}
	tags, err := st.Tags()
	if err != nil {
		return err
	}
	for gen, names := range tags {
		if slices.Contains(names, tag) {
			return fault.Advise(fault.Exists, fmt.Errorf("tag %s: it is image %.12s", tag, gen), "choose another --tag, or remove that image with: stasis image rm %s", tag)
		}
	}
	return nil
}

// setTag gives an image in the store a name.
func (h *Host) setTag(tag, generation string) error {
	st, err := h.open()
	if err != nil {
		return err
	}
	return st.Tag(tag, generation)
}
