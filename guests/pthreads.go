package guests

import (
	"context"
	"path/filepath"
	"strings"
)

// buildPthreads compiles C files of ours and links them with wasix-libc.
func (b *builder) buildPthreads(ctx context.Context, libc string) error {
	own := filepath.Join(b.tmp, "src")
	if err := copySources("src/pthreads", own); err != nil {
		return err
	}
	out, err := command{argv: []string{b.tools.argv[0], "-print-resource-dir"}}.run(ctx)
	if err != nil {
		return err
	}
	clang, sysroot := strings.TrimSpace(string(out)), filepath.Join(libc, "usr")
	lib := filepath.Join(sysroot, "lib", "wasm32-wasi")
	argv := append(b.tools.argv[:len(b.tools.argv):len(b.tools.argv)], "-nostdinc",
		"-isystem", filepath.Join(sysroot, "include", "wasm32-wasi"), "-isystem", filepath.Join(clang, "include"),
		"-O2", "-g0", "-pthread", "-mexception-handling", "-c")
	units := b.units(own)
	if err := b.compile(ctx, argv, units); err != nil {
		return err
	}
	link := []string{"wasm-ld-" + llvm, "-o", b.out, "-L" + lib, filepath.Join(lib, "crt1.o"),
		"--shared-memory", "--import-memory", "--max-memory=67108864", "--stack-first", "-z", "stack-size=65536"}
	for _, u := range units {
		link = append(link, u.object)
	}
	link = append(link, "-lc", filepath.Join(clang, "lib", "wasi", "libclang_rt.builtins-wasm32.a"))
	_, err = command{dir: b.tmp, argv: link}.run(ctx)
	return err
}
