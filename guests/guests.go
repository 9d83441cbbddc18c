package guests

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Guest is a program, what to run it with, and what it prints then.
type Guest struct {
	Name    string
	About   string // one line: what it exercises
	Source  string // where the program comes from: package and version, or our own
	License string

	// Packages are what of registries it is made from, the program's own first.
	Packages []Package

	// Args are the arguments after the program's name, for a run of some
	// seconds; QuickArgs are for one of some tenths of a second. They differ
	// in scale only; see ArgsAt.
	Args, QuickArgs []string

	Stdin string
	Env   []string // NAME=value
	Files []File   // to be placed in the root, which must be writable

	// Want and WantQuick are what it writes to stdout with Args and QuickArgs;
	// empty where no run has been recorded yet.
	Want, WantQuick string

	// Refused is, of a module that Stasis does not run, how the error begins that
	// says so.
	Refused string

	// Extra guests cost a large download; they are had when asked for by name.
	Extra bool

	// NoAsyncify says why there is no Asyncify variant; empty if there is one.
	NoAsyncify string

	args    []string // with "$SCALE"
	program *program
}

// A File is to be placed in a guest's root directory.
type File struct {
	Path string // in the guest, absolute
	Data []byte
}

// A Package is a package of a public registry.
type Package struct {
	Registry, Name, Version string
	Digest                  string // sha256 of the archive, or Go's sum of the module
}

// ArgsAt returns the arguments for a run of another scale. Time is about
// proportional to it. What such a run prints is not recorded.
func (g *Guest) ArgsAt(scale int) []string {
	args := slices.Clone(g.args)
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "$SCALE", strconv.Itoa(scale))
	}
	return args
}

// Program names the module that the guest runs; some guests share one.
func (g *Guest) Program() string { return g.program.name }

// Place writes g.Files below root, a directory of the host.
func (g *Guest) Place(root string) error {
	for _, f := range g.Files {
		p := filepath.Join(root, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// An UnavailableError says why a guest cannot be had here: a tool is missing,
// a registry does not answer. A digest that differs or a source that does not
// compile is another kind of error.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

func unavailable(format string, args ...any) error {
	return &UnavailableError{fmt.Errorf(format, args...)}
}

// IsUnavailable reports whether err says that a guest cannot be had here.
func IsUnavailable(err error) bool {
	var u *UnavailableError
	return errors.As(err, &u)
}

// sources are the programs of ours, and the scripts and drivers for others'.
//
//go:embed src lib/stasis.h lib/wasix.h
var sources embed.FS

//go:embed testdata
var wants embed.FS

func mustSource(name string) []byte { return mustRead("src/" + name) }

func mustRead(name string) []byte {
	b, err := sources.ReadFile(name)
	if err != nil {
		panic(err) // the catalog names a file that is not there
	}
	return b
}

func want(name string) string {
	b, err := fs.ReadFile(wants, "testdata/want/"+name+".txt")
	if err != nil {
		return "" // not recorded yet: see TestGuests -update
	}
	return string(b)
}

// All returns all guests, in the order of the catalog.
func All() []Guest { return complete(catalog()) }

// Real returns the real modules: programs of all kinds, as registries have them
// or as one builds them from there, for seeing what runs. Some are guests of All
// too.
func Real() []Guest { return complete(realModules()) }

func complete(list []Guest) []Guest {
	for i := range list {
		g := &list[i]
		g.Source, g.License = g.program.source, g.program.license
		if g.Want == "" {
			g.Want, g.WantQuick = want(g.Name), want(g.Name+".quick")
		}
		for _, p := range g.program.packages {
			g.Packages = append(g.Packages, Package{registries[p.client], p.name, p.version, p.digest})
		}
	}
	return list
}

var registries = map[string]string{"pip": "PyPI", "npm": "npm", "cargo": "crates.io", "go": "Go modules", "apt": "Debian", "aptsource": "Debian"}

// Lookup returns the guest of that name.
func Lookup(name string) (Guest, error) {
	for _, g := range slices.Concat(All(), Real(), Toolchains(), Programs()) {
		if g.Name == name {
			return g, nil
		}
	}
	return Guest{}, fmt.Errorf("guest %s: no such guest", name)
}

// Path returns the path of a guest's module, in the user's cache. It fetches
// and builds what is not there yet, which can take minutes.
func Path(ctx context.Context, name string) (string, error) {
	c, err := DefaultCache()
	if err != nil {
		return "", err
	}
	return c.Path(ctx, name)
}

// DataDir returns the directory of the files that a guest reads at /data, which
// came with the packages it is made from; "" if there are none. It fetches and
// builds like Path.
func DataDir(ctx context.Context, name string) (string, error) {
	path, err := Path(ctx, name)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(path), dataDir)
	if !isDir(dir) {
		return "", nil
	}
	return dir, nil
}

// Asyncified returns the path of a guest's module after Binaryen's Asyncify
// and -O2: what one would use to stop and resume a program without us.
func Asyncified(ctx context.Context, name string) (string, error) {
	c, err := DefaultCache()
	if err != nil {
		return "", err
	}
	return c.Asyncified(ctx, name)
}

// Optimized returns the path of a guest's module after Binaryen's -O2 alone,
// so that what Asyncify costs can be told from what -O2 gains.
func Optimized(ctx context.Context, name string) (string, error) {
	c, err := DefaultCache()
	if err != nil {
		return "", err
	}
	return c.Optimized(ctx, name)
}
