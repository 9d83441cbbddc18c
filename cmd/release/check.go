package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/version"
)

// sources lists the files of the source, those not yet committed too.
func (r *release) sources(ctx context.Context) ([]string, error) {
	out, err := r.command(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range strings.SplitSeq(out, "\x00") {
		if st, err := os.Lstat(filepath.Join(r.root, n)); n != "" && err == nil && st.Mode().IsRegular() {
			names = append(names, n)
		}
	}
	return names, nil
}

// checkAgain makes the release once more, from a copy of the source in another
// place and without git, with an empty cache, and compares the sums.
func (r *release) checkAgain(ctx context.Context, arch string) error {
	dir, err := os.MkdirTemp("", "stasis-again-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	names, err := r.sources(ctx)
	if err != nil {
		return err
	}
	src, out := filepath.Join(dir, "source"), filepath.Join(dir, "out")
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join(r.root, n))
		if err != nil {
			return err
		}
		to := filepath.Join(src, n)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Println("once more, with nothing cached …")
	cmd := exec.CommandContext(ctx, self, "-arch", arch, "-out", out, "-commit", r.commit, "-dirty="+strconv.FormatBool(r.dirty))
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"), "TZ=Pacific/Chatham", "GIT_CEILING_DIRECTORIES="+dir,
		"SOURCE_DATE_EPOCH="+strconv.FormatInt(r.time.Unix(), 10))
	if _, err := output(cmd); err != nil {
		return err
	}
	a, aerr := os.ReadFile(filepath.Join(r.out, sumsFile))
	b, berr := os.ReadFile(filepath.Join(out, sumsFile))
	if err := errors.Join(aerr, berr); err != nil {
		return err
	}
	if string(a) != string(b) {
		return fmt.Errorf("not reproducible: the sums here are\n%sand from a copy of the source\n%s", a, b)
	}
	fmt.Println("reproducible: the same bytes")
	return nil
}

// checkInstall does what somebody does who has Go and no clone: go install of
// the latest version, from a proxy that has this source for it.
func (r *release) checkInstall(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "stasis-install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	proxy := filepath.Join(dir, "proxy")
	if err := r.publish(ctx, proxy); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	had, err := r.command(ctx, "go", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		return err
	}
	modcache, upstream, _ := strings.Cut(had, "\n")
	install := exec.CommandContext(ctx, "go", "install", modulePath+"/cmd/stasis@latest")
	install.Dir = dir // outside of any module
	install.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-modcacherw", "GO111MODULE=",
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(modcache, "cache", "download")+","+upstream,
		"GONOSUMDB="+modulePath, "GONOPROXY=none", "GOPRIVATE=", "GOMODCACHE="+filepath.Join(dir, "modules"), "GOBIN="+filepath.Join(dir, "bin"))
	if _, err := output(install); err != nil {
		return err
	}
	say := exec.CommandContext(ctx, filepath.Join(dir, "bin", "stasis"), "version", "--format", "json")
	out, err := output(say)
	if err != nil {
		return err
	}
	var b struct{ Version string }
	if err := json.Unmarshal([]byte(out), &b); err != nil {
		return fmt.Errorf("stasis version: %w", err)
	}
	if b.Version != version.Number {
		return fmt.Errorf("the installed stasis is %s, want %s", b.Version, version.Number)
	}
	fmt.Printf("go install %s/cmd/stasis@latest: ok, stasis %s\n", modulePath, b.Version)
	return nil
}

// publish makes a module proxy of files that has this source as its only version.
func (r *release) publish(ctx context.Context, proxy string) error {
	v := "v" + version.Number
	dir := filepath.Join(proxy, filepath.FromSlash(escapePath(modulePath)), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(r.root, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]string{"Version": v, "Time": r.time.Format(time.RFC3339)})
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"list": []byte(v + "\n"), v + ".info": info, v + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	names, err := r.sources(ctx)
	if err != nil {
		return err
	}
	return r.zip(filepath.Join(dir, v+".zip"), modulePath+"@"+v+"/", ownFiles(names))
}

// ownFiles leaves out other modules' files, which are no part of a module.
func ownFiles(names []string) []string {
	var nested []string
	for _, n := range names {
		if dir, ok := strings.CutSuffix(n, "/go.mod"); ok {
			nested = append(nested, dir+"/")
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(n, dir) })
	})
}

func (r *release) zip(to, prefix string, names []string) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := zip.NewWriter(f)
	for _, n := range names {
		data, err := fs.ReadFile(os.DirFS(r.root), n)
		if err != nil {
			return err
		}
		w, err := z.Create(prefix + n)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return z.Close()
}
