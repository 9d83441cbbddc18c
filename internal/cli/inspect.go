package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func inspectCommand() *cobra.Command {
	var format, kind string
	c := &cobra.Command{
		Use:   "inspect [flags] NAME...",
		Short: "Print all that is known of systems or images",
		Long: `Print all that is known of systems, or of images, as an array of JSON. A name is
looked for among the systems first, unless --type says what is meant.`,
		Example: `  stasis inspect job
  stasis inspect --format '{{.State}} {{.Exit.Code}}' job
  stasis inspect --type image half-way`,
		Args:              arguments(1, -1),
		ValidArgsFunction: systemNames(-1, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch kind {
			case "", "system", "image":
			default:
				return fmt.Errorf("inspect: type %q: want system or image", kind)
			}
			return inspect(cmd, args, format, func(ctx context.Context, name string) (any, error) { return inspectOne(ctx, name, kind) })
		},
	}
	c.Flags().StringVar(&kind, "type", "", "what NAME is: system or image")
	complete(c, "type", "system", "image")
	addFormat(c, &format, "json, or a Go template such as '{{.State}}'")
	return c
}

// inspect prints what find finds of each name.
func inspect(cmd *cobra.Command, names []string, format string, find func(ctx context.Context, name string) (any, error)) error {
	o, err := parseFormat(cmd, format)
	if err != nil {
		return err
	}
	var all []any
	failures := each(names, func(name string) error {
		v, err := find(cmd.Context(), name)
		if err == nil {
			all = append(all, v)
		}
		return err
	})
	if len(all) == 0 {
		return failures
	}
	return errors.Join(printInspected(cmd, o, all), failures)
}

func inspectOne(ctx context.Context, name, kind string) (any, error) {
	if kind == "image" {
		return inspectImage(ctx, name)
	}
	s, err := open(ctx, "inspect", name)
	if err == nil {
		p, err := s.Properties(ctx)
		return &p, as("inspect", err)
	}
	if kind == "" {
		if im, err := host.Image(ctx, name); err == nil {
			return im, nil
		}
	}
	return nil, err
}

func inspectImage(ctx context.Context, name string) (any, error) {
	im, err := host.Image(ctx, name)
	if err != nil {
		return nil, as("inspect", err)
	}
	return im, nil
}

// open finds a system for a command.
func open(ctx context.Context, verb, name string) (*stasis.System, error) {
	s, err := host.Open(ctx, name)
	return s, as(verb, err)
}
