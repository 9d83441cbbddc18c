package guests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A port is how a program that is written for Unix is built with wasix-libc.
type port struct {
	dir     string   // of the program in packages[0], or in archive
	archive string   // in packages[0], if the program is in one
	empty   []string // files that packages[0] lacks and nothing needs the contents of
	edits   []edit

	// Programs that are configured: configure's arguments, and those of each run of make;
	// nil is one without. Of others the program's files are compiled.
	configure, make []string
	product         string // the module, in the directory that is built in
}

// An edit replaces a piece of a source that is there once.
type edit struct{ file, old, new string }

// strings are all that a port says, for the program's key.
func (p *port) strings() []string {
	if p == nil {
		return nil
	}
	all := []string{"port", p.dir, p.archive, p.product, strconv.Itoa(len(p.configure)), strconv.Itoa(len(p.make))}
	for _, e := range p.edits {
		all = append(all, e.file, e.old, e.new)
	}
	return append(append(append(all, p.empty...), p.configure...), p.make...)
}

// A wasixCompiler is clang with wasix-libc in place of wasi-libc.
type wasixCompiler struct {
	compile []string // the compiler and its flags
	before  []string // flags for linking, before objects
	after   []string // and behind them
	own     []string // objects of ours; the first is what the library lacks
}

// wasixMemory is how much memory a program can have, in bytes: it has to be said of one
// that can be shared.
const wasixMemory = 256 << 20

func (b *builder) wasixCompiler(ctx context.Context, libc string) (*wasixCompiler, error) {
	out, err := command{argv: []string{b.tools.argv[0], "-print-resource-dir"}}.run(ctx)
	if err != nil {
		return nil, err
	}
	clang, sysroot := strings.TrimSpace(string(out)), filepath.Join(libc, "usr")
	lib := filepath.Join(sysroot, "lib", "wasm32-wasi")
	return &wasixCompiler{
		// The library is built with threads, and has setjmp by one name.
		compile: append(b.tools.argv[:len(b.tools.argv):len(b.tools.argv)], "-nostdinc",
			"-isystem", filepath.Join(sysroot, "include", "wasm32-wasi"), "-isystem", filepath.Join(clang, "include"),
			"-g0", "-ffile-prefix-map="+b.tmp+"=.", "-pthread", "-D_GNU_SOURCE", "-D_WASI_EMULATED_PROCESS_CLOCKS", "-D_WASI_EMULATED_MMAN",
			"-D_setjmp=setjmp", "-D_longjmp=longjmp"),
		before: []string{"-nostdlib", "-L" + lib, filepath.Join(lib, "crt1.o")},
		after: []string{"-lc", "-lwasi-emulated-process-clocks", "-lwasi-emulated-mman",
			filepath.Join(clang, "lib", "wasi", "libclang_rt.builtins-wasm32.a"),
			"-Wl,--wrap=signal,--export=__stack_pointer,--stack-first,-z,stack-size=1048576",
			fmt.Sprintf("-Wl,--shared-memory,--import-memory,--max-memory=%d", wasixMemory)},
	}, nil
}

// buildWASIX builds a program of packages[0] with the libc of the last package, and
// what that lacks of ours.
func (b *builder) buildWASIX(ctx context.Context, dirs []string) error {
	cc, err := b.wasixCompiler(ctx, dirs[len(dirs)-1])
	if err != nil {
		return err
	}
	own, err := b.wasixOwn(ctx, cc)
	if err != nil {
		return err
	}
	cc.own = own
	source, err := b.portSource(ctx, dirs[0])
	if err != nil {
		return err
	}
	if b.program.ported.configure == nil {
		return b.compilePort(ctx, cc, source)
	}
	return b.configurePort(ctx, cc, source)
}

// wasixOwn compiles what is ours.
func (b *builder) wasixOwn(ctx context.Context, cc *wasixCompiler) (objects []string, err error) {
	own := filepath.Join(b.tmp, "own")
	if err := copySources("src/wasix", own); err != nil {
		return nil, err
	}
	if err := copySources("lib", filepath.Join(own, "lib")); err != nil {
		return nil, err
	}
	var units []unit
	for _, f := range b.program.files {
		if name, ok := strings.CutPrefix(f, "wasix/"); ok {
			u := unit{filepath.Join(own, name), filepath.Join(b.tmp, name+".o"), []string{"-O2", "-c", "-I" + filepath.Join(own, "lib")}}
			units, objects = append(units, u), append(objects, u.object)
		}
	}
	return objects, b.compile(ctx, cc.compile, units)
}

// portSource makes a copy of the source that can be changed.
func (b *builder) portSource(ctx context.Context, from string) (string, error) {
	p := b.program.ported
	all := filepath.Join(b.tmp, "source")
	if err := os.Mkdir(all, 0o755); err != nil {
		return "", err
	}
	argv := []string{"cp", "-a", filepath.Join(from, p.dir), all} // with the times of files
	if p.archive != "" {
		argv = []string{"tar", "-C", all, "--no-same-owner", "-xf", filepath.Join(from, filepath.FromSlash(p.archive))}
	}
	if _, err := (command{argv: argv}).run(ctx); err != nil {
		return "", err
	}
	dir := filepath.Join(all, p.dir)
	for _, name := range p.empty {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return "", err
		}
	}
	for _, e := range p.edits {
		if err := e.apply(dir); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (e edit) apply(dir string) error {
	file := filepath.Join(dir, filepath.FromSlash(e.file))
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(data), e.old); n != 1 {
		return fmt.Errorf("%s: %q is there %d times, want 1", e.file, e.old, n)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(data), e.old, e.new, 1)), 0o644)
}

// compilePort compiles the program's files and links them.
func (b *builder) compilePort(ctx context.Context, cc *wasixCompiler, source string) error {
	var units []unit
	link := append(append(cc.compile[:len(cc.compile):len(cc.compile)], "-o", b.out), cc.before...)
	for _, f := range b.program.files {
		name, ok := strings.CutPrefix(f, "0:")
		if !ok {
			continue
		}
		found, err := filepath.Glob(filepath.Join(source, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errors.New("no file " + name)
		}
		for _, file := range found {
			u := unit{file, filepath.Join(b.tmp, filepath.Base(file)+".o"), append([]string{"-c", "-O2"}, b.program.flags...)}
			units, link = append(units, u), append(link, u.object)
		}
	}
	if err := b.compile(ctx, cc.compile, units); err != nil {
		return err
	}
	_, err := command{dir: b.tmp, argv: append(append(link, cc.own...), cc.after...)}.run(ctx)
	return err
}

// configurePort builds a program as its authors mean it to be.
func (b *builder) configurePort(ctx context.Context, cc *wasixCompiler, source string) error {
	maker, err := lookTool("make", "make")
	if err != nil {
		return err
	}
	native, err := lookTool("cc", "gcc libc6-dev") // of programs that write parts of the source
	if err != nil {
		return err
	}
	build, wrapper := filepath.Join(b.tmp, "build"), filepath.Join(b.tmp, "cc")
	if err := os.Mkdir(build, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(wrapper, []byte(cc.script()), 0o755); err != nil {
		return err
	}
	env := []string{"CC=" + wrapper, "CC_FOR_BUILD=" + native, "CFLAGS=-O2"}
	configure := append([]string{filepath.Join(source, "configure"), "--host=wasm32-unknown-wasi", "--disable-dependency-tracking"}, b.program.ported.configure...)
	if _, err := (command{dir: build, env: env, argv: configure, timeout: 15 * time.Minute}).run(ctx); err != nil {
		return err
	}
	runs := b.program.ported.make
	if runs == nil {
		runs = []string{""}
	}
	for _, args := range runs {
		// The program's flags and objects are none of configure's.
		argv := append([]string{maker, "-j" + strconv.Itoa(runtime.GOMAXPROCS(0)), "LDFLAGS=" + strings.Join(cc.own[1:], " "),
			"CFLAGS=-O2 " + strings.Join(b.program.flags, " ")}, strings.Fields(args)...)
		// What made us is no business of the program's.
		if _, err := (command{dir: build, env: append(env, "MAKEFLAGS=", "MAKELEVEL="), argv: argv, timeout: 15 * time.Minute}).run(ctx); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(filepath.Join(build, filepath.FromSlash(b.program.ported.product)))
	if err != nil {
		return err
	}
	return os.WriteFile(b.out, data, 0o644)
}

// script is a C compiler for configure. When it links it leaves -O out: with it clang
// runs wasm-opt where that is installed, which takes the names of functions.
func (cc *wasixCompiler) script() string {
	quoted := func(args []string) string {
		var out []string
		for _, a := range args {
			out = append(out, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
		}
		return strings.Join(out, " ")
	}
	return `#!/bin/sh
for arg; do
	case $arg in -c | -S | -E | -M | -v | -V | --version | -dumpversion) exec ` + quoted(cc.compile) + ` "$@" ;; esac
done
for arg; do
	shift
	case $arg in -O*) ;; *) set -- "$@" "$arg" ;; esac
done
exec ` + quoted(append(cc.compile[:len(cc.compile):len(cc.compile)], cc.before...)) + ` "$@" ` + quoted(append(cc.own[:1:1], cc.after...)) + "\n"
}
