package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func commitText(b *stasis.Build) string {
	switch {
	case b.Commit == "":
		return "unknown"
	case b.Dirty:
		return cutID(b.Commit, false) + "+changes"
	}
	return cutID(b.Commit, false)
}

// versionLine is what --version prints.
func versionLine(b *stasis.Build) string {
	f := b.Formats
	return fmt.Sprintf("stasis version %s, commit %s, image %d, spec %d, protocol %d, pass %d\n",
		b.Version, commitText(b), f.Image, f.Spec, f.Protocol, f.Pass)
}

func versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version [flags]",
		Short: "Print the version, and those of the formats",
		Long: `Print this program's version, and those of what it writes and speaks: images, the
documents that systems are made from, the protocol between commands and running
systems, and the instrumentation of modules.`,
		Example: `  stasis version
  stasis version --format json`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			b := stasis.ThisBuild()
			switch {
			case o.json:
				e := json.NewEncoder(os.Stdout)
				e.SetIndent("", "  ")
				return e.Encode(b)
			case o.template != nil:
				return printInspected(cmd, o, []any{&b})
			}
			f := b.Formats
			_, err = fmt.Printf("Version:   %s\nCommit:    %s\nGo:        %s %s/%s\nImage:     %d\nSpec:      %d\nProtocol:  %d\nPass:      %d\n",
				b.Version, commitText(&b), b.Go, b.OS, b.Arch, f.Image, f.Spec, f.Protocol, f.Pass)
			return err
		},
	}
	addFormat(c, &format, "json, or a Go template such as '{{.Version}}'")
	return c
}
