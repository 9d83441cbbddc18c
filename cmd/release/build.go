package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/version"
)

const modulePath = "github.com/stasis-run/stasis"

// A built is a binary and what Go says in it.
type built struct {
	binary []byte
	info   *debug.BuildInfo
}

// build builds stasis for an architecture. Nothing of the caller's settings has
// a say, but for where Go finds modules and keeps what it compiled.
func (r *release) build(ctx context.Context, arch string) (*built, error) {
	if arch != "amd64" && arch != "arm64" {
		return nil, fmt.Errorf("want amd64 or arm64")
	}
	dir, err := os.MkdirTemp("", "stasis-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "stasis")
	said := []string{"-s", "-w", "-buildid=",
		"-X", modulePath + ".buildCommit=" + r.commit,
		"-X", modulePath + ".buildTime=" + r.time.Format(time.RFC3339)}
	if r.dirty {
		said = append(said, "-X", modulePath+".buildDirty=true")
	}
	// The version control stamp would depend on the tags of the clone.
	cmd := r.start(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags="+strings.Join(said, " "), "-o", out, "./cmd/stasis")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains([]string{"GOFLAGS", "GOEXPERIMENT", "GODEBUG", "GOFIPS140"}, name)
	}), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off")
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	b := &built{}
	if b.binary, err = os.ReadFile(out); err != nil {
		return nil, err
	}
	if b.info, err = buildinfo.Read(bytes.NewReader(b.binary)); err != nil {
		return nil, err
	}
	return b, b.check()
}

// check refuses a binary with what no one else could fetch.
func (b *built) check() error {
	if !bytes.Contains(b.binary, []byte(version.Number)) {
		return fmt.Errorf("the binary does not say %s", version.Number)
	}
	for _, d := range b.info.Deps {
		if d.Replace != nil || d.Sum == "" {
			return fmt.Errorf("module %s is replaced, or has no sum: go install refuses that", d.Path)
		}
	}
	return nil
}
