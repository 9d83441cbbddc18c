package stasis

import (
	"runtime/debug"
	"testing"
)

func TestBuildIsReadFromWhatGoKnows(t *testing.T) {
	set := func(kv ...string) (out []debug.BuildSetting) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return out
	}
	ours := func(version string) debug.Module { return debug.Module{Path: modulePath, Version: version} }
	const made = "v0.2.1-0.20260102150405-0123456789ab"
	for _, c := range []struct {
		name string
		info debug.BuildInfo
		want Build
	}{
		{"a clone", debug.BuildInfo{Main: ours(made + "+dirty"), Settings: set("vcs.revision", "0123456789abcdef", "vcs.modified", "true", "vcs.time", "2026-01-02T15:04:05Z")},
			Build{Commit: "0123456789abcdef", Dirty: true, Time: "2026-01-02T15:04:05Z"}},
		{"no clone", debug.BuildInfo{Main: ours("(devel)")}, Build{}},
		{"a release", debug.BuildInfo{Main: ours("v0.2.0")}, Build{}},
		{"a release with a name like a commit", debug.BuildInfo{Main: ours("v0.2.0-0123456789ab")}, Build{}},
		{"a commit", debug.BuildInfo{Main: ours(made)}, Build{Commit: "0123456789ab"}},
		{"a program of others", debug.BuildInfo{Main: debug.Module{Path: "example.com/x", Version: "v1.0.0"}, Deps: []*debug.Module{{Path: modulePath, Version: made}},
			Settings: set("vcs.revision", "ffffffffffff")}, Build{Commit: "0123456789ab"}},
	} {
		var got Build
		got.read(&c.info)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
