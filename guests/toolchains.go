package guests

import (
	"runtime"
)

// llvm is the version of Debian's clang that these programs are built with. The
// sources of the C++ runtime below are of the same one: Debian has that runtime
// without exceptions only.
const llvm = "22"

// llvmPackages are what of Debian the programs need.
var llvmPackages = []string{"clang-" + llvm, "lld-" + llvm, "libclang-rt-" + llvm + "-dev-wasm32", "libc++-" + llvm + "-dev-wasm32", "wasi-libc"}

// cxxSources are, in the ziglang wheel, libc++ 22.1.8 with its ABI library and
// unwinder.
var cxxSources = []string{"ziglang/lib/libcxx", "ziglang/lib/libcxxabi", "ziglang/lib/libunwind"}

// wasixLibc is wasix-libc, built with threads. It is not installed, since it
// takes the place of wasi-libc.
var wasixLibc = pkg{"apt", "wasix-libc", "2025.12.24.1+ds-1", "f16b844194b248fbd402e48b38cfc3fe37fd6093d15e3a8b8692bd3e53c2b890"}

// Toolchains returns programs of ours that show what toolchains make of a
// language: C++ with its runtime in both encodings of exceptions (names cxx-…), C with the
// threads of a libc (pthreads, over wasi-threads). What they must print is what they print on Linux.
func Toolchains() []Guest {
	var list []Guest
	for _, encoding := range []struct{ name, legacy string }{{"legacy", "true"}, {"exnref", "false"}} {
		add := func(name, about, file string, flags ...string) {
			p := &program{
				name:     "cxx-" + name + "-" + encoding.name,
				source:   "ours, in C++ with libc++ 22.1.8 (PyPI ziglang 0.17.1), encoding " + encoding.name,
				license:  "Apache-2.0; runtime Apache-2.0 WITH LLVM-exception",
				language: "cxx",
				packages: []pkg{ziglangHere()}, part: cxxSources,
				files: []string{"cxx/" + file, "cxx/tag.s"},
				flags: append([]string{"-mllvm", "-wasm-use-legacy-eh=" + encoding.legacy}, flags...),
			}
			list = append(list, Guest{Name: p.name, About: about, program: p, Want: want("cxx-" + name)})
		}
		add("exceptions", "caught by type, rethrown, nested, kept as values", "exceptions.cpp")
		add("terminate", "std::terminate out of a handler", "endings.cpp", "-DENDING=1")
		add("noexcept", "an exception leaves a noexcept function", "endings.cpp", "-DENDING=2")
		add("uncaught", "an exception leaves main", "endings.cpp", "-DENDING=3")
	}
	p := &program{
		name: "pthreads", source: "ours, in C with wasix-libc 2025.12.24 (Debian)", license: "Apache-2.0; libc MIT and Apache-2.0 WITH LLVM-exception",
		language: "pthreads", packages: []pkg{wasixLibc},
		files: []string{"pthreads/pthreads.c", "pthreads/wasithreads.c", "pthreads/start.s"},
	}
	args := []string{"4", "100"}
	list = append(list, Guest{Name: p.name, About: "mutexes, conditions, barriers, locks, keys, atomics of a libc", program: p,
		Want: want("pthreads"), args: args, Args: args, QuickArgs: args})
	for i := range list {
		list[i].NoAsyncify = "it has exceptions, which Asyncify does not know"
	}
	return complete(list)
}

// ziglangHere is the wheel that pip fetches on this machine; what is used of it
// is the same in all.
func ziglangHere() pkg {
	if p, ok := ziglang[runtime.GOOS+"/"+runtime.GOARCH]; ok {
		return p
	}
	return ziglang["linux/amd64"]
}
