// Release builds what a release consists of, into dist/: for each architecture a
// tarball with a static stasis, its manual pages and completions, and an SBOM in
// SPDX; and the sums of all of them.
//
//	go run ./cmd/release                 what `make release` does
//	go run ./cmd/release -arch amd64     the same for one architecture
//	go run ./cmd/release -check          build once more elsewhere, with nothing cached: the same bytes?
//	go run ./cmd/release -install        does `go install …@latest` work for those who have no clone?
//
// The bytes of a tarball follow from the source, its commit and the Go toolchain,
// and from nothing else: paths, users, times and the machine leave no trace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/version"
)

func main() {
	var r release
	arch := flag.String("arch", "amd64,arm64", "architectures, with commas between")
	flag.StringVar(&r.out, "out", "dist", "directory of what is made")
	flag.StringVar(&r.commit, "commit", "", "commit of a source without git")
	flag.BoolVar(&r.dirty, "dirty", false, "that source has changes, too")
	check := flag.Bool("check", false, "build once more from a copy of the source with an empty cache, and compare (some minutes)")
	install := flag.Bool("install", false, "check that the module can be installed without a clone, and do nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := r.open(ctx)
	switch {
	case err != nil:
	case *install:
		err = r.checkInstall(ctx)
	default:
		err = r.make(ctx, strings.Split(*arch, ","))
		if err == nil && *check {
			err = r.checkAgain(ctx, *arch)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A release is one that is made from the source in the current directory.
type release struct {
	root   string // of the source
	out    string
	commit string
	dirty  bool      // there is more in the source than in the commit
	time   time.Time // of the commit; all files have it
	git    bool
}

// open finds out what the source is.
func (r *release) open(ctx context.Context) (err error) {
	if r.root, err = os.Getwd(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(r.root, "internal", "version")); err != nil {
		return errors.New("this is not the root of stasis's source")
	}
	_, err = r.command(ctx, "git", "rev-parse", "--git-dir")
	if r.git = err == nil; r.git && r.commit == "" {
		if err := r.openGit(ctx); err != nil {
			return err
		}
	}
	epoch, ok := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !ok {
		if r.time.IsZero() {
			return errors.New("the source is not in git: set SOURCE_DATE_EPOCH to the time of its commit, and -commit")
		}
		return nil
	}
	sec, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || sec < 0 {
		return fmt.Errorf("SOURCE_DATE_EPOCH %q: want seconds since 1970", epoch)
	}
	r.time = time.Unix(sec, 0).UTC()
	return nil
}

func (r *release) openGit(ctx context.Context) error {
	head, err := r.command(ctx, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return err
	}
	commit, at, _ := strings.Cut(head, " ")
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return fmt.Errorf("git log: %q: %w", head, err)
	}
	changes, err := r.command(ctx, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	r.commit, r.time, r.dirty = commit, time.Unix(sec, 0).UTC(), changes != ""
	tags, err := r.command(ctx, "git", "tag", "--points-at", "HEAD", "v[0-9]*")
	if err != nil {
		return err
	}
	return checkTags(strings.Fields(tags), r.dirty)
}

// checkTags refuses to make a release of what the commit's tag does not name.
// What ends in -dev or the like is no release, and may be made of anything.
func checkTags(tags []string, dirty bool) error {
	if strings.Contains(version.Number, "-") && len(tags) == 0 {
		return nil
	}
	if dirty {
		return fmt.Errorf("version %s with changes that are not committed (commit them, or make the version %[1]s-dev)", version.Number)
	}
	for _, t := range tags {
		if t == "v"+version.Number {
			return nil
		}
	}
	if len(tags) > 0 {
		return fmt.Errorf("the commit has the tag %s, and internal/version says %s", strings.Join(tags, ", "), version.Number)
	}
	return nil // before it is tagged
}

// command runs a command in the source and returns its stdout.
func (r *release) command(ctx context.Context, name string, args ...string) (string, error) {
	return output(r.start(ctx, name, args...))
}

func (r *release) start(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	return cmd
}

// output runs a command; what it says on stderr is in the error.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// name is that of a tarball, without its suffix, and of the directory in it.
func name(arch string) string { return "stasis-" + version.Number + "-linux-" + arch }

// make makes the release's files.
func (r *release) make(ctx context.Context, archs []string) error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(r.out, "stasis-*"))
	if err != nil {
		return err
	}
	for _, f := range append(old, filepath.Join(r.out, sumsFile)) {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	docs, err := r.docs()
	if err != nil {
		return fmt.Errorf("manual pages: %w", err)
	}
	var made []string
	for _, arch := range archs {
		files, err := r.makeArch(ctx, arch, docs)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		made = append(made, files...)
	}
	return writeSums(r.out, made)
}

// makeArch makes the tarball and the SBOM of an architecture.
func (r *release) makeArch(ctx context.Context, arch string, docs []file) ([]string, error) {
	b, err := r.build(ctx, arch)
	if err != nil {
		return nil, err
	}
	mods, err := r.modules(ctx, b.info)
	if err != nil {
		return nil, fmt.Errorf("licences: %w", err)
	}
	files := append([]file{
		{path: "bin/stasis", mode: 0o755, data: b.binary},
		{path: "THIRD_PARTY_LICENSES", data: thirdParty(mods)},
	}, docs...)
	for _, name := range []string{"LICENSE", "README.md"} {
		data, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: name, data: data})
	}
	tarball, sbom := name(arch)+".tar.gz", name(arch)+".spdx.json"
	size, err := writeTarball(filepath.Join(r.out, tarball), name(arch), r.time, files)
	if err != nil {
		return nil, err
	}
	doc, err := r.sbom(arch, b, mods)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(r.out, sbom), doc, 0o644); err != nil {
		return nil, err
	}
	fmt.Printf("%s  %.1f MB (bin/stasis %.1f MB), %d modules of others, %s\n",
		tarball, float64(size)/1e6, float64(len(b.binary))/1e6, len(mods), runtime.Version())
	return []string{tarball, sbom}, nil
}
