package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
)

// stream is the name of stdin and stdout among names of files.
const stream = "-"

func imageExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export IMAGE DEST|-",
		Short: "Write an image as an OCI layout, for registries and their tools",
		Long: `Write an image as an OCI image layout: a directory, or a tar if DEST ends in .tar
or is '-', which is stdout. All that is read of the image is verified; DEST is
complete or absent.`,
		Example: `  stasis image export half-way half-way.tar
  stasis image export half-way - | ssh host stasis image import -`,
		Args:              arguments(2, 2),
		ValidArgsFunction: imageNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			im, err := host.Image(ctx, args[0])
			if err != nil {
				return as("image export", err)
			}
			if args[1] != stream {
				return as("image export", host.ExportImage(ctx, im, args[1]))
			}
			if hostterm.IsTerminal(1) {
				return errors.New("image export: a tar is not for a terminal (name a file, or use a pipe)")
			}
			return as("image export", host.ExportImageTo(ctx, im, os.Stdout))
		},
	}
}

func imageImportCommand() *cobra.Command {
	var o stasis.ImportOptions
	c := &cobra.Command{
		Use:   "import [flags] SRC|-",
		Short: "Make an image of an OCI layout",
		Long: `Make an image of an OCI image layout, a directory or a tar, '-' being a tar on stdin;
print its generation. Every byte is verified; the image is complete or absent.`,
		Example: `  stasis image import --tag half-way half-way.tar
  stasis image import --image-path job.img half-way.tar`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			var im *stasis.Image
			if args[0] == stream {
				im, err = host.ImportImageFrom(ctx, os.Stdin, o)
			} else {
				im, err = host.ImportImage(ctx, args[0], o)
			}
			if err != nil {
				return as("image import", err)
			}
			_, err = fmt.Println(im.Config.Generation)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Tag, "tag", "", "name of the image in the store")
	f.StringVar(&o.Dir, "image-path", "", "directory of the image, which must not exist; the store by default")
	f.StringVar(&o.Choose, "choose", "", "which of several images in the layout, by its tag there")
	return c
}

func imageUpgradeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade IMAGE DIR",
		Short: "Rewrite an image of an older version as one of the newest",
		Long: `Rewrite an image of an older version as one of the newest, in a directory that must
not exist yet; the old one stays. All versions there are can be restored without.`,
		Example:           "  stasis image upgrade old.img new.img",
		Args:              arguments(2, 2),
		ValidArgsFunction: imageNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := host.Image(cmd.Context(), args[0])
			if err != nil {
				return as("image upgrade", err)
			}
			return as("image upgrade", host.UpgradeImage(cmd.Context(), im, args[1]))
		},
	}
}
