package stasis

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/version"
)

// Version is this package's version.
const Version = version.Number

// SpecVersion is the version of specs that this package makes.
const SpecVersion = spec.Version

// Formats are the versions of what stasis writes and speaks.
type Formats struct {
	Image    int `json:"image"`    // of images
	Spec     int `json:"spec"`     // of the documents that systems are made from
	Protocol int `json:"protocol"` // between commands and running systems
	Pass     int `json:"pass"`     // of the instrumentation of modules
}

// FormatVersions are those of this program.
func FormatVersions() Formats {
	return Formats{Image: image.Version, Spec: spec.Version, Protocol: control.Version, Pass: instrument.Version}
}

// A Build says what this package was built from, and by what.
type Build struct {
	Version string  `json:"version"`
	Commit  string  `json:"commit,omitempty"` // "" is unknown
	Dirty   bool    `json:"dirty,omitempty"`  // built from more than the commit
	Time    string  `json:"time,omitempty"`   // of the commit, as RFC 3339 has it
	Go      string  `json:"go"`
	OS      string  `json:"os"`
	Arch    string  `json:"arch"`
	Formats Formats `json:"formats"`
}

// What a release says of its source, by -ldflags -X: its binary comes out the
// same from a clone and from an archive of the source, which has no commits.
var (
	buildCommit string
	buildDirty  string // "true"
	buildTime   string
)

// ThisBuild is that of this program.
func ThisBuild() Build {
	b := Build{
		Version: Version, Commit: buildCommit, Dirty: buildDirty == "true", Time: buildTime,
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Formats: FormatVersions(),
	}
	if info, ok := debug.ReadBuildInfo(); ok && b.Commit == "" {
		b.read(info)
	}
	return b
}

const modulePath = "github.com/stasis-run/stasis"

// read takes from the build information where the source came from: a clone, or
// a module of some version.
func (b *Build) read(info *debug.BuildInfo) {
	if info.Main.Path != modulePath {
		for _, d := range info.Deps {
			if d.Path == modulePath {
				b.Commit = commitOf(d.Version)
			}
		}
		return
	}
	b.Commit = commitOf(info.Main.Version)
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
}

// commitOf is the commit in a version that Go made up for one without a tag:
// v0.2.1-0.20260102150405-0123456789ab.
func commitOf(version string) string {
	const timeLen, commitLen = 14, 12
	version, _, _ = strings.Cut(version, "+")
	rest, commit, ok := cutLast(version, "-")
	if !ok || len(commit) != commitLen || strings.Trim(commit, "0123456789abcdef") != "" {
		return ""
	}
	at := rest[max(0, len(rest)-timeLen):]
	if len(at) != timeLen || strings.Trim(at, "0123456789") != "" {
		return ""
	}
	return commit
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
