package guests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// cxxHeaders are libc++'s headers for WASI, as Debian has them.
const cxxHeaders = "/usr/lib/llvm-" + llvm + "/include/wasm32-wasi/c++/v1"

// cxxCommand returns the command that compiles C++ with exceptions.
func (b *builder) cxxCommand() []string {
	argv := append(b.tools.argv[:len(b.tools.argv):len(b.tools.argv)], "-nostdinc++", "-isystem", cxxHeaders,
		"-O1", "-g0", "-fwasm-exceptions", "-c")
	return append(argv, b.encoding()...)
}

// encoding returns the flags that say in which form exceptions are written.
func (b *builder) encoding() []string { return b.program.flags[:2] }

// buildCXX compiles one file and links it with the runtime.
func (b *builder) buildCXX(ctx context.Context, sources string) error {
	runtime, err := b.cxxRuntime(ctx, sources)
	if err != nil {
		return err
	}
	objects, err := filepath.Glob(filepath.Join(runtime, "*.o"))
	if err != nil {
		return err
	}
	own := filepath.Join(b.tmp, "src")
	if err := copySources("src/cxx", own); err != nil {
		return err
	}
	units := b.units(own, append([]string{"-std=c++20"}, b.program.flags[2:]...)...)
	if err := b.compile(ctx, b.cxxCommand(), units); err != nil {
		return err
	}
	for _, u := range units {
		objects = append(objects, u.object)
	}
	argv := append(b.tools.argv[:len(b.tools.argv):len(b.tools.argv)], "-o", b.out, "-Wl,--stack-first")
	_, err = command{dir: b.tmp, argv: append(argv, objects...)}.run(ctx)
	return err
}

// units are the program's own files, unpacked to a directory.
func (b *builder) units(own string, flags ...string) (units []unit) {
	for i, f := range b.program.files {
		units = append(units, unit{filepath.Join(own, path.Base(f)), filepath.Join(b.tmp, fmt.Sprintf("%d.o", i)), flags})
	}
	return units
}

// cxxLeftOut are files of libc++ that need threads, or locales and streams, which
// cost minutes and no program here uses.
var cxxLeftOut = map[string]bool{
	"atomic": true, "barrier": true, "chrono": true, "condition_variable": true, "condition_variable_destructor": true,
	"cxa_noexception": true, "cxa_thread_atexit": true, "fstream": true, "future": true, "ios": true, "ios.instantiations": true,
	"iostream": true, "locale": true, "mutex": true, "mutex_destructor": true, "new": true, "ostream": true, "print": true,
	"random": true, "random_shuffle": true, "regex": true, "shared_mutex": true, "strstream": true, "thread": true,
}

// cxxRuntime returns a directory with the objects of libc++, its ABI library and
// its unwinder, in the encoding that the program has.
func (b *builder) cxxRuntime(ctx context.Context, sources string) (string, error) {
	lib := filepath.Join(sources, "ziglang", "lib")
	id := sha256.Sum256([]byte(strings.Join(append(b.cxxCommand(), recipeVersion, b.program.packages[0].digest, b.toolsID), "\n")))
	return b.cache.entry(ctx, "cxx-runtime-"+hex.EncodeToString(id[:8]), func(dir string) error {
		b.cache.log("building libc++ with exceptions")
		var units []unit
		common := []string{"-std=c++23", "-w", "-D_LIBCPP_BUILDING_LIBRARY", "-DLIBCXX_BUILDING_LIBCXXABI", "-D_LIBCXXABI_BUILDING_LIBRARY",
			"-D_LIBCXXABI_HAS_NO_THREADS", "-I" + lib + "/libcxx/src", "-I" + lib + "/libcxx/libc",
			"-I" + lib + "/libcxxabi/include", "-I" + lib + "/libunwind/include"}
		for _, part := range []string{"libcxx", "libcxxabi"} {
			found, err := filepath.Glob(filepath.Join(lib, part, "src", "*.cpp"))
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return errors.New(part + ": no sources in the package")
			}
			for _, f := range found {
				if name := strings.TrimSuffix(filepath.Base(f), ".cpp"); !cxxLeftOut[name] {
					units = append(units, unit{f, filepath.Join(dir, part+"-"+name+".o"), common})
				}
			}
		}
		units = append(units, unit{lib + "/libunwind/src/Unwind-wasm.c", filepath.Join(dir, "unwind.o"),
			[]string{"-w", "-DNDEBUG", "-D_LIBUNWIND_HAS_NO_THREADS", "-D_LIBUNWIND_HIDE_SYMBOLS", "-I" + lib + "/libunwind/include"}})
		return b.compile(ctx, b.cxxCommand(), units)
	})
}
