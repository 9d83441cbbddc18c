package guests

// Programs returns commands that others wrote for Unix, built with wasix-libc: they
// fork, execute each other, and handle signals. What that library lacks or only
// pretends to do they have from src/wasix. They are no jobs with a known output, but
// what scripts are run with: see test/processes.
func Programs() []Guest {
	const licenses = "; libc MIT and Apache-2.0 WITH LLVM-exception"
	add := func(list []Guest, about string, p *program) []Guest {
		p.language, p.packages = "wasix", append(p.packages, wasixLibc)
		p.source += ", built with wasix-libc 2025.12.24 (Debian)"
		p.license += licenses
		p.files = append([]string{"wasix/unix.c"}, p.files...)
		return append(list, Guest{Name: p.name, About: about, program: p, NoAsyncify: "nobody has measured it so"})
	}
	list := add(nil, "a POSIX shell: pipelines, jobs, traps, here-documents", &program{
		name: "dash", source: "dash 0.5.12 (Debian source)", license: "BSD-3-Clause",
		packages: []pkg{{"aptsource", "dash", "0.5.12-12", "6a474ac46e8b0b32916c4c60df694c82058d3297d8b385b74508030ca4a8f28a"}},
		ported:   &port{dir: "dash-0.5.12", configure: []string{"--disable-fnmatch", "--disable-glob"}, product: "src/dash"},
	})
	list = add(list, "Lua's command, with io.popen and os.execute", &program{
		name: "lua5.4", source: "Lua 5.4.7 (Debian source)", license: "MIT",
		packages: []pkg{{"aptsource", "lua5.4", "5.4.7-1", "9fbf5e28ef86c69858f6d3d34eccc32e911c1a28b4120ff3e84aaa70cfbf1e30"}},
		files:    under("0:src/", "l[a-t]*.c", "lua.c", "lundump.c", "lutf8lib.c", "lvm.c", "lzio.c"),
		flags:    []string{"-DLUA_USE_POSIX", "-DLUA_COMPAT_5_3"},
		ported:   &port{dir: "lua-5.4.7"},
	})
	list = add(list, "SQLite's shell, over files", &program{
		name: "sqlite3", source: "SQLite 3.52.0, npm sqlite3 6.0.1", license: "public domain",
		packages: []pkg{{"npm", "sqlite3", "6.0.1", "ab8d044a93e05bd031d7ea75547c7fa60387cdc259d27f93c0e3e2832c4b1df9"}},
		files:    []string{"0:shell.c", "0:sqlite3.c"},
		flags:    []string{"-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_OMIT_WAL", "-DSQLITE_DQS=0"},
		ported:   &port{dir: "sqlite-autoconf-3520000", archive: "package/deps/sqlite-autoconf-3520000.tar.gz"},
	})
	return complete(add(list, "GNU make, also with -j", &program{
		name: "make", source: "GNU make 4.4.1 (Debian source)", license: "GPL-3.0-or-later",
		packages: []pkg{{"aptsource", "make-dfsg", "4.4.1-2", "3b16b00ea1079af9f8096bbc71ff7cc00c249fc6a862003da3c42308a0adb0fe"}},
		files:    []string{"wasix/main3.c"},
		// WASI's headers have no locks of records, which --output-sync alone asks for.
		flags: []string{"-Dmain=main3", "-DF_WRLCK=1", "-DF_UNLCK=2", "-DF_SETLKW=14"},
		ported: &port{
			dir: "make-4.4.1", empty: []string{"doc/Makefile.in"}, // Debian takes the manual out
			edits: []edit{{"src/dir.c", "sizeof (*d) - sizeof (d->d_name) + len", "sizeof (*d) + len"}}, // WASI's has no size
			// The library's pselect leaves the mask as it is.
			configure: []string{"--without-guile", "--disable-nls", "--disable-load", "ac_cv_func_pselect=no"},
			make:      []string{"-C lib", "make"}, product: "make",
		},
	}))
}
