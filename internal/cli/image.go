package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Images: what checkpoints have saved",
		Long: `Images are what checkpoints have saved. An image is named by its tag, the start of
its generation, its directory, or the system that was saved, whose latest image
it then is.`,
		Example: `  stasis image ls
  stasis image verify half-way`,
		Args: unknownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(imageLsCommand(), imageInspectCommand(), imageVerifyCommand(), imageRmCommand(), imageExportCommand(), imageImportCommand(), imageUpgradeCommand())
	return c
}

// An imageRow is what image ls says of an image.
type imageRow struct {
	Generation string    `json:"generation"`
	Tags       []string  `json:"tags,omitempty"`
	System     string    `json:"system,omitempty"`
	Attempt    int64     `json:"attempt,omitempty"`
	Created    time.Time `json:"created"`
	Size       int64     `json:"size"` // bytes
	Parent     string    `json:"parent,omitempty"`
	Thin       bool      `json:"thin,omitempty"`
	Version    int       `json:"version"`
	Stasis     string    `json:"stasis"`
	Dir        string    `json:"dir"`
}

func newImageRow(im *stasis.Image) imageRow {
	c := &im.Config
	r := imageRow{
		Generation: c.Generation, Tags: im.Tags, System: im.System(), Attempt: c.Attempt, Created: c.Created,
		Size: im.Size, Thin: c.Thin(), Version: c.Version, Stasis: c.Stasis, Dir: im.Dir,
	}
	if c.Parent != nil {
		r.Parent = c.Parent.Generation
	}
	return r
}

func (r *imageRow) cells(whole bool) []string {
	tags, system := "-", "-"
	if len(r.Tags) > 0 {
		tags = strings.Join(r.Tags, ",")
	}
	if r.System != "" {
		system = oneLine(r.System)
	}
	return []string{cutID(r.Generation, whole), tags, system, agoText(r.Created), sizeText(r.Size)}
}

func imageLsCommand() *cobra.Command {
	var quiet, noTrunc bool
	var format string
	c := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List the images in the store",
		Long: `List the images in the store, those made last first. What is damaged is told of on
stderr.`,
		Example: `  stasis image ls
  stasis image ls --format '{{.Generation}} {{.Size}}'`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			images, damaged, err := host.Images(cmd.Context())
			if err != nil {
				return as("image ls", err)
			}
			rows := make([]imageRow, len(images))
			for i, im := range images {
				rows[i] = newImageRow(im)
			}
			if quiet {
				for _, r := range rows {
					if _, err := fmt.Println(cutID(r.Generation, noTrunc)); err != nil {
						return err
					}
				}
			} else if err := printRows(cmd, o, os.Stdout, []string{"IMAGE", "TAG", "SYSTEM", "CREATED", "SIZE"}, rows, func(r *imageRow) []string { return r.cells(noTrunc) }); err != nil {
				return err
			}
			return errors.Join(damaged...)
		},
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print generations only")
	c.Flags().BoolVar(&noTrunc, "no-trunc", false, "print generations whole")
	addFormat(c, &format, formatUsage)
	return c
}

func imageInspectCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "inspect [flags] IMAGE...",
		Short: "Print all that images say of themselves",
		Example: `  stasis image inspect half-way
  stasis image inspect --format '{{.Config.Needs}}' job`,
		Args:              arguments(1, -1),
		ValidArgsFunction: imageNames(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return inspect(cmd, args, format, inspectImage) },
	}
	addFormat(c, &format, "json, or a Go template such as '{{.Size}}'")
	return c
}

func imageVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify IMAGE...",
		Short: "Read images whole and compare them with their digests",
		Long: `Read every byte of images and compare them with their digests; print the names of
those that are intact. Restoring an image verifies what it reads by itself.`,
		Example:           "  stasis image verify half-way job.img",
		Args:              arguments(1, -1),
		ValidArgsFunction: imageNames(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return overImages(cmd, args, "image verify", func(ctx context.Context, im *stasis.Image) error {
				defer host.Progress("verifying")()
				return im.Verify(ctx)
			})
		},
	}
}

func imageRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rm IMAGE...",
		Short:             "Remove images",
		Long:              "Remove images, and their tags. Systems that were restored from them do not mind.",
		Example:           "  stasis image rm half-way",
		Args:              arguments(1, -1),
		ValidArgsFunction: imageNames(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return overImages(cmd, args, "image rm", host.RemoveImage)
		},
	}
}

// overImages does something to images, and prints the names of those to which it
// was done.
func overImages(cmd *cobra.Command, names []string, verb string, do func(context.Context, *stasis.Image) error) error {
	return each(names, func(name string) error {
		im, err := host.Image(cmd.Context(), name)
		if err == nil {
			err = do(cmd.Context(), im)
		}
		if err == nil {
			_, err = fmt.Println(name)
		}
		return as(verb, err)
	})
}
