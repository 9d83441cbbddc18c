package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

// A build is what version says of this program.
type build struct {
	Version string         `json:"version"`
	Commit  string         `json:"commit,omitempty"`
	Dirty   bool           `json:"dirty,omitempty"` // built from more than the commit
	Time    string         `json:"time,omitempty"`  // of the commit
	Go      string         `json:"go"`
	OS      string         `json:"os"`
	Arch    string         `json:"arch"`
	Formats stasis.Formats `json:"formats"`
}

func thisBuild() build {
	b := build{Version: stasis.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Formats: stasis.FormatVersions()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		case "vcs.time":
			b.Time = s.Value
		}
	}
	return b
}

func (b *build) commit() string {
	switch {
	case b.Commit == "":
		return "unknown"
	case b.Dirty:
		return cutID(b.Commit, false) + "+changes"
	}
	return cutID(b.Commit, false)
}

// line is what --version prints.
func (b *build) line() string {
	f := b.Formats
	return fmt.Sprintf("stasis version %s, commit %s, image %d, spec %d, protocol %d, pass %d\n",
		b.Version, b.commit(), f.Image, f.Spec, f.Protocol, f.Pass)
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
			b := thisBuild()
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
				b.Version, b.commit(), b.Go, b.OS, b.Arch, f.Image, f.Spec, f.Protocol, f.Pass)
			return err
		},
	}
	addFormat(c, &format, "json, or a Go template such as '{{.Version}}'")
	return c
}
