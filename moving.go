package stasis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/image/oci"
	"github.com/stasis-run/stasis/internal/store"
)

// ExportImage writes an image as an OCI image layout, for registries and their
// tools: a directory, or a tar if dst ends in ".tar". It is complete or absent.
func (h *Host) ExportImage(ctx context.Context, i *Image, dst string) error {
	return h.export(i, func(im *image.Image, o oci.ExportOptions) error { return oci.Export(ctx, im, dst, o) })
}

// ExportImageTo writes the tar of such a layout.
func (h *Host) ExportImageTo(ctx context.Context, i *Image, w io.Writer) error {
	return h.export(i, func(im *image.Image, o oci.ExportOptions) error { return oci.ExportTar(ctx, im, w, o) })
}

func (h *Host) export(i *Image, write func(*image.Image, oci.ExportOptions) error) error {
	defer h.progress("exporting")()
	im, err := image.Open(image.OS, i.Dir)
	if err != nil {
		return failed("export", i.Dir, err)
	}
	defer im.Close()
	o := oci.ExportOptions{}
	if len(i.Tags) > 0 {
		o.Tag = i.Tags[0]
	}
	return failed("export", i.Dir, write(im, o))
}

// ImportOptions say how an image is imported.
type ImportOptions struct {
	Dir    string // directory to be made; "" keeps the image in the store
	Tag    string // a name for it in the store
	Choose string // which of several images in a layout; "" is the only one
}

// ImportImage makes an image of an OCI image layout: a directory, or a tar of
// one. Every byte is verified; the image is complete or absent.
func (h *Host) ImportImage(ctx context.Context, src string, o ImportOptions) (*Image, error) {
	return h.importFrom(src, o, func(dst string) (image.Config, error) {
		return oci.Import(ctx, image.OS, src, dst, oci.ImportOptions{Tag: o.Choose})
	})
}

// ImportImageFrom makes an image of the tar of such a layout.
func (h *Host) ImportImageFrom(ctx context.Context, r io.Reader, o ImportOptions) (*Image, error) {
	return h.importFrom("", o, func(dst string) (image.Config, error) {
		return oci.ImportTar(ctx, image.OS, r, dst, oci.ImportOptions{Tag: o.Choose})
	})
}

// importFrom makes the image in the store under a name of its own first: only
// its config tells its generation.
func (h *Host) importFrom(src string, o ImportOptions, read func(dst string) (image.Config, error)) (*Image, error) {
	defer h.progress("importing")()
	im, err := h.importTo(o, read)
	return im, failed("import", src, err)
}

func (h *Host) importTo(o ImportOptions, read func(dst string) (image.Config, error)) (*Image, error) {
	if o.Dir != "" {
		if o.Tag != "" {
			return nil, fault.New(fault.Invalid, "a tag is for an image in the store, not for %s", o.Dir)
		}
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, err
		}
		if _, err := read(dir); err != nil {
			return nil, err
		}
		return openImage(dir)
	}
	if o.Tag != "" {
		if err := h.checkTag(o.Tag); err != nil {
			return nil, err
		}
	}
	st, err := h.open()
	if err != nil {
		return nil, err
	}
	tmp := filepath.Join(st.Images(), "import-"+store.RandomID(8))
	c, err := read(tmp)
	if err != nil {
		return nil, err
	}
	dir, err := h.imagePath(c.Generation)
	if err == nil {
		err = image.OS.RenameNew(tmp, dir)
	}
	if errors.Is(err, fs.ErrExist) {
		err = fault.Advise(fault.Exists, fmt.Errorf("generation %.12s is in the store already", c.Generation), "see: stasis image inspect %.12s", c.Generation)
	}
	if err == nil {
		err = syncDir(st.Images())
	}
	if err != nil {
		_ = image.Remove(image.OS, tmp) // it may have its name already
		return nil, err
	}
	if o.Tag != "" {
		if err := h.setTag(o.Tag, c.Generation); err != nil {
			return nil, err
		}
	}
	im, err := openImage(dir)
	if err == nil && o.Tag != "" {
		im.Tags = []string{o.Tag}
	}
	return im, err
}

// syncDir makes the names in a directory last.
func syncDir(name string) error {
	d, err := image.OS.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// UpgradeImage rewrites an image of an older version as one of the newest, in a
// directory to be made. The old one stays.
func (h *Host) UpgradeImage(ctx context.Context, i *Image, dst string) error {
	err := image.Upgrade(image.OS, i.Dir, dst)
	if errors.Is(err, image.ErrNewest) {
		err = fault.Advise(fault.Invalid, err, "use it as it is")
	}
	return failed("upgrade", i.Dir, err)
}
