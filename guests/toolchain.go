package guests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

// tools compile one language to wasip1.
type tools struct {
	argv []string // the compiler, with its target
	link []string // C: more flags for linking
	env  []string
}

// ziglang is a C compiler that PyPI carries, with a libc for WASI: for those
// who cannot install Debian's.
var ziglang = map[string]pkg{
	"linux/amd64": {"pip", "ziglang", "0.17.1", zigAMD64},
	"linux/arm64": {"pip", "ziglang", "0.17.1", zigARM64},
}

// tools returns the compiler for p and what identifies it.
func (c *Cache) tools(ctx context.Context, p *program) (*tools, string, error) {
	switch p.language {
	case "c":
		return c.cc(ctx)
	case "cxx", "pthreads", "wasix":
		return c.clang(ctx)
	case "go", "gomod":
		path, err := lookTool("go", "golang-go")
		if err != nil {
			return nil, "", err
		}
		env := []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GOWASM=", "GOEXPERIMENT="}
		out, err := command{env: env, argv: []string{path, "env", "GOVERSION"}}.run(ctx)
		if err != nil {
			return nil, "", err
		}
		return &tools{argv: []string{path}, env: env}, strings.TrimSpace(string(out)), nil
	}
	return nil, "", nil // fetched as a module
}

// The compiler that was found, for the life of the process.
var (
	ccMu    sync.Mutex // held while looking, too; nothing else is locked meanwhile but files
	ccTools *tools
	ccID    string
	ccErr   error
)

// cc finds a C compiler for WASI by compiling with it: clang as it is; clang
// with what Debian's packages add, where we may install them; PyPI's ziglang.
func (c *Cache) cc(ctx context.Context) (*tools, string, error) {
	ccMu.Lock()
	defer ccMu.Unlock()
	if ccTools == nil && ccErr == nil {
		ccTools, ccID, ccErr = c.findCC(ctx)
		if ctx.Err() != nil {
			err := ccErr
			ccErr = nil // another caller may have more time
			return ccTools, ccID, err
		}
	}
	return ccTools, ccID, ccErr
}

func (c *Cache) findCC(ctx context.Context) (*tools, string, error) {
	var why []string
	if os.Getenv("STASIS_GUESTS_CC") != "zig" { // for trying the other compiler
		clang := func() (*tools, string, error) {
			path, err := exec.LookPath("clang")
			if err != nil {
				return nil, "", err
			}
			// The stack first, so that an overflow traps; zig has no flag for it.
			return c.tryCC(ctx, []string{path, "--target=wasm32-wasi"}, "-Wl,--stack-first")
		}
		t, id, err := clang()
		if err == nil {
			return t, id, nil
		}
		why = append(why, "clang: "+err.Error())
		if err := c.aptClang(ctx); err != nil {
			why = append(why, "apt-get: "+err.Error())
		} else if t, id, err = clang(); err == nil {
			return t, id, nil
		} else {
			why = append(why, "clang after apt-get: "+err.Error())
		}
	}
	t, id, err := c.zig(ctx)
	if err == nil {
		return t, id, nil
	}
	why = append(why, "ziglang: "+err.Error())
	return nil, "", unavailable("no C compiler for wasm32-wasi (Debian: apt-get install clang lld wasi-libc and libclang-rt-N-dev-wasm32; PyPI: ziglang): %s",
		strings.Join(why, "; "))
}

func (c *Cache) zig(ctx context.Context) (*tools, string, error) {
	p, ok := ziglang[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return nil, "", fmt.Errorf("not pinned for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir, err := c.fetch(ctx, p)
	if err != nil {
		return nil, "", err
	}
	zig := filepath.Join(dir, "ziglang", "zig")
	if err := os.Chmod(zig, 0o755); err != nil { // a wheel's modes are not unpacked
		return nil, "", err
	}
	return c.tryCC(ctx, []string{zig, "cc", "--target=wasm32-wasi"})
}

// tryCC compiles a small program. What comes out identifies compiler, libc and
// linker better than their version numbers would.
func (c *Cache) tryCC(ctx context.Context, argv []string, link ...string) (*tools, string, error) {
	tmp, err := os.MkdirTemp("", "stasis-cc-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(tmp)
	src := "#include <stdio.h>\n#include <stdlib.h>\nint main(int argc, char **argv) { printf(\"%f\\n\", strtod(argv[argc - 1], NULL)); return 0; }\n"
	if err := os.WriteFile(filepath.Join(tmp, "try.c"), []byte(src), 0o644); err != nil {
		return nil, "", err
	}
	args := append(argv[:len(argv):len(argv)], "-o", "try.wasm", "try.c")
	args = append(args, link...)
	if _, err := (command{dir: tmp, argv: args, timeout: 3 * time.Minute}).run(ctx); err != nil {
		return nil, "", err
	}
	b, err := os.ReadFile(filepath.Join(tmp, "try.wasm"))
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b)
	return &tools{argv: argv, link: link}, filepath.Base(argv[0]) + " " + hex.EncodeToString(sum[:]), nil
}

var clangVersion = regexp.MustCompile(`clang version (\d+)`)

// aptClang installs Debian's compiler, linker, libc and compiler runtime.
func (c *Cache) aptClang(ctx context.Context) error {
	if err := c.apt(ctx, "clang", "lld", "wasi-libc"); err != nil {
		return err
	}
	out, err := command{argv: []string{"clang", "--version"}}.run(ctx)
	if err != nil {
		return err
	}
	m := clangVersion.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("clang --version: no version in %q", out)
	}
	return c.apt(ctx, "libclang-rt-"+string(m[1])+"-dev-wasm32")
}

// apt installs packages, where that is ours to do.
func (c *Cache) apt(ctx context.Context, packages ...string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("not root; ask for: apt-get install %s", strings.Join(packages, " "))
	}
	c.log("apt-get install %s", strings.Join(packages, " "))
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	lock := []string{"-o", "DPkg::Lock::Timeout=120", "-qq"}
	install := append(append([]string{"apt-get"}, lock...), "install", "-y", "--no-install-recommends")
	if _, err := (command{env: env, argv: append(install, packages...)}).run(ctx); err == nil {
		return nil
	}
	// Perhaps the lists are old.
	if _, err := (command{env: env, argv: append(append([]string{"apt-get"}, lock...), "update")}).run(ctx); err != nil {
		return err
	}
	_, err := command{env: env, argv: append(install, packages...)}.run(ctx)
	return err
}
