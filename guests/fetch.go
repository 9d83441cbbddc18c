package guests

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A pkg is a package of a public registry, pinned. All are fetched by the
// registry's own client, with whatever mirror that is set up to use.
type pkg struct {
	client  string // "pip", "npm", "cargo", "go", "apt" or "aptsource"
	name    string
	version string
	digest  string // sha256 of the archive; for "go" the h1: sum of the module
}

func (p pkg) String() string { return p.client + " " + p.name + " " + p.version }

// fetch returns the directory with a package's unpacked contents, or with a part
// of it: some of its directories.
func (c *Cache) fetch(ctx context.Context, p pkg, part ...string) (string, error) {
	id := strings.TrimPrefix(p.digest, "h1:")
	id = strings.Map(func(r rune) rune {
		if r == '/' || r == '+' || r == '=' {
			return '-'
		}
		return r
	}, id)[:16]
	base := strings.Map(func(r rune) rune {
		if r == '/' || r == '@' || r == ':' {
			return '-'
		}
		return r
	}, p.name)
	key := "pkg-" + base + "-" + id
	if len(part) > 0 && !isDir(filepath.Join(c.Dir, key)) { // all of it will do
		sum := sha256.Sum256([]byte(strings.Join(part, "\n")))
		key += "-" + hex.EncodeToString(sum[:4])
	}
	dir, err := c.entry(ctx, key, func(dir string) error {
		c.log("fetching %s", p)
		tmp, err := os.MkdirTemp(dir, "fetch-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		if len(part) == 0 {
			return clients[p.client](ctx, p, tmp, dir)
		}
		all := filepath.Join(tmp, "all")
		if err := os.Mkdir(all, 0o755); err != nil {
			return err
		}
		if err := clients[p.client](ctx, p, tmp, all); err != nil {
			return err
		}
		return moveParts(all, dir, part)
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", p, err)
	}
	return dir, nil
}

func moveParts(from, to string, part []string) error {
	for _, name := range part {
		name = filepath.FromSlash(name)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// clients fetch a package and unpack it to dir; tmp is a place to work.
var clients = map[string]func(ctx context.Context, p pkg, tmp, dir string) error{
	"pip": func(ctx context.Context, p pkg, tmp, dir string) error {
		python, err := lookTool("python3", "python3-pip")
		if err != nil {
			return err
		}
		cmd := command{dir: tmp, argv: []string{python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
			"--no-deps", "--only-binary=:all:", "--dest", tmp, p.name + "==" + p.version}}
		if _, err := cmd.run(ctx); err != nil {
			return &UnavailableError{err}
		}
		return unpackOne(filepath.Join(tmp, "*.whl"), p.digest, dir)
	},
	"npm": func(ctx context.Context, p pkg, tmp, dir string) error {
		npm, err := lookTool("npm", "npm")
		if err != nil {
			return err
		}
		cmd := command{dir: tmp, argv: []string{npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", tmp, p.name + "@" + p.version}}
		if _, err := cmd.run(ctx); err != nil {
			return &UnavailableError{err}
		}
		return unpackOne(filepath.Join(tmp, "*.tgz"), p.digest, dir)
	},
	"cargo": func(ctx context.Context, p pkg, tmp, dir string) error {
		cargo, err := lookTool("cargo", "cargo")
		if err != nil {
			return err
		}
		// A project that is thrown away, so that cargo fetches one crate.
		manifest := fmt.Sprintf("[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n"+
			"[dependencies]\n%s = { version = \"=%s\", default-features = false }\n\n[workspace]\n", p.name, p.version)
		if err := os.WriteFile(filepath.Join(tmp, "Cargo.toml"), []byte(manifest), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tmp, "lib.rs"), nil, 0o644); err != nil {
			return err
		}
		if _, err := (command{dir: tmp, argv: []string{cargo, "fetch", "--quiet"}}).run(ctx); err != nil {
			return &UnavailableError{err}
		}
		home := os.Getenv("CARGO_HOME")
		if home == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			home = filepath.Join(user, ".cargo")
		}
		return unpackOne(filepath.Join(home, "registry", "cache", "*", p.name+"-"+p.version+".crate"), p.digest, dir)
	},
	"go": func(ctx context.Context, p pkg, tmp, dir string) error {
		gotool, err := lookTool("go", "golang-go")
		if err != nil {
			return err
		}
		out, err := command{dir: tmp, env: []string{"GOFLAGS=", "GOWORK=off"},
			argv: []string{gotool, "mod", "download", "-json", p.name + "@" + p.version}}.run(ctx)
		if err != nil {
			return &UnavailableError{err}
		}
		var mod struct{ Dir, Sum string }
		if err := json.Unmarshal(out, &mod); err != nil {
			return fmt.Errorf("go mod download: %w", err)
		}
		if mod.Sum != p.digest {
			return fmt.Errorf("sum %s, want %s", mod.Sum, p.digest)
		}
		return os.CopyFS(filepath.Join(dir, "module"), os.DirFS(mod.Dir))
	},
	"apt": func(ctx context.Context, p pkg, tmp, dir string) error {
		if err := aptGet(ctx, tmp, "deb", aptSuite, "download", p.name+"="+p.version); err != nil {
			return err
		}
		found, err := one(filepath.Join(tmp, p.name+"_*.deb"), p.digest)
		if err != nil {
			return err
		}
		_, err = command{argv: []string{"dpkg-deb", "-x", found, dir}}.run(ctx)
		return err
	},
	// What Debian builds a package from, as its authors released it: without Debian's
	// changes. tar keeps the times of files, which make looks at.
	"aptsource": func(ctx context.Context, p pkg, tmp, dir string) error {
		if err := aptGet(ctx, tmp, "deb-src", sourceSuite, "source", "--download-only", p.name+"="+p.version); err != nil {
			return err
		}
		found, err := one(filepath.Join(tmp, p.name+"_*.orig.tar.*"), p.digest)
		if err != nil {
			return err
		}
		_, err = command{argv: []string{"tar", "-C", dir, "--no-same-owner", "-xf", found}}.run(ctx)
		return err
	},
}

// aptGet runs apt-get in tmp with lists of its own: the release may be another than is
// installed, and nothing is installed.
func aptGet(ctx context.Context, tmp, kind, suite string, args ...string) error {
	apt, err := lookTool("apt-get", "apt")
	if err != nil {
		return err
	}
	list := kind + " [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian " + suite + " main\n"
	if err := os.WriteFile(filepath.Join(tmp, "sources.list"), []byte(list), 0o644); err != nil {
		return err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(tmp, filepath.FromSlash(d)), 0o755); err != nil {
			return err
		}
	}
	argv := []string{apt, "-qq", "-o", "APT::Sandbox::User=root", "-o", "APT::Architectures=amd64", "-o", "APT::Architecture=amd64",
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(tmp, "sources.list"), "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + filepath.Join(tmp, "lists"), "-o", "Dir::Cache=" + filepath.Join(tmp, "cache")}
	for _, last := range [][]string{{"update"}, args} {
		if _, err := (command{dir: tmp, argv: append(argv[:len(argv):len(argv)], last...)}).run(ctx); err != nil {
			return &UnavailableError{err}
		}
	}
	return nil
}

// one returns the one file that pattern names, if its digest is right.
func one(pattern, digest string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", unavailable("the client fetched no %s", filepath.Base(pattern))
	}
	return found[0], checkDigest(found[0], digest)
}

// The releases of Debian that packages and sources are fetched from. Wasix-libc is in
// the one that is being made only.
const (
	aptSuite    = "forky"
	sourceSuite = "trixie"
)

// lookTool finds a program, or says which Debian package has it.
func lookTool(name, debian string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", unavailable("%s: not installed (Debian: apt-get install %s)", name, debian)
	}
	return path, nil
}

// unpackOne unpacks the one archive that pattern names, if its digest is right.
func unpackOne(pattern, digest, dir string) error {
	found, err := one(pattern, digest)
	if err != nil {
		return err
	}
	if strings.HasSuffix(found, ".whl") {
		return unzip(found, dir)
	}
	return untar(found, dir)
}

func unzip(archive, dir string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	return os.CopyFS(dir, r) // refuses names that lead out
}

func untar(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // no way out of dir, whatever the archive says
	if err != nil {
		return err
	}
	defer root.Close()
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue // directories are made as needed; links are not
		}
		name := filepath.FromSlash(h.Name)
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		w, err := root.Create(name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, t); err != nil {
			w.Close()
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
}
