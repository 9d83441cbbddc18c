package guests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// features are what the guests use and wazero runs; Binaryen 108 takes a
// module without a list of features for one of the MVP.
var features = []string{"--enable-bulk-memory", "--enable-sign-ext", "--enable-nontrapping-float-to-int",
	"--enable-mutable-globals", "--enable-multivalue"}

// Asyncified is the package's Asyncified in this cache.
//
// Any import may unwind: Asyncify's default, and what it takes to stop a
// program in any of its calls to the host. In a loop without calls it cannot
// be stopped at all; ours can.
func (c *Cache) Asyncified(ctx context.Context, name string) (string, error) {
	return c.binaryen(ctx, name, "asyncify", append([]string{"--asyncify", "-O2", "--strip-debug", "--strip-dwarf"}, features...))
}

// Optimized is the package's Optimized in this cache.
func (c *Cache) Optimized(ctx context.Context, name string) (string, error) {
	return c.binaryen(ctx, name, "O2", append([]string{"-O2", "--strip-debug", "--strip-dwarf"}, features...))
}

func (c *Cache) binaryen(ctx context.Context, name, variant string, flags []string) (string, error) {
	g, err := Lookup(name)
	if err != nil {
		return "", err
	}
	fail := func(err error) (string, error) { return "", fmt.Errorf("guest %s: %s: %w", name, variant, err) }
	if g.NoAsyncify != "" && variant == "asyncify" {
		return fail(unavailable("%s", g.NoAsyncify))
	}
	in, err := c.program(ctx, g.program)
	if err != nil {
		return fail(err)
	}
	opt, version, err := c.wasmOpt(ctx)
	if err != nil {
		return fail(err)
	}
	digest, err := Digest(in)
	if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256([]byte(digest + "\n" + version + "\n" + strings.Join(flags, " ")))
	file := g.program.name + "." + variant + ".wasm"
	dir, err := c.entry(ctx, g.program.name+"-"+variant+"-"+hex.EncodeToString(sum[:8]), func(dir string) error {
		c.log("%s: %s", g.program.name, variant)
		argv := append([]string{opt, in, "-o", filepath.Join(dir, file)}, flags...)
		_, err := command{argv: argv, timeout: 20 * time.Minute}.run(ctx)
		return err
	})
	if err != nil {
		return fail(err)
	}
	return filepath.Join(dir, file), nil
}

func (c *Cache) wasmOpt(ctx context.Context) (path, version string, err error) {
	path, err = exec.LookPath("wasm-opt")
	if err != nil {
		if os.Geteuid() != 0 || c.apt(ctx, "binaryen") != nil {
			return "", "", unavailable("wasm-opt: not installed (Debian: apt-get install binaryen)")
		}
		if path, err = exec.LookPath("wasm-opt"); err != nil {
			return "", "", unavailable("wasm-opt: %w", err)
		}
	}
	out, err := command{argv: []string{path, "--version"}}.run(ctx)
	return path, strings.TrimSpace(string(out)), err
}
