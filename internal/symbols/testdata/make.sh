#!/bin/sh
# Builds the modules here from calc.c with DWARF 4 and 5, by the clang and wasm-ld
# of LLVM 22 in the directory that LLVM names. The files are kept, so that tests
# need no compiler.
set -eu
cd "$(dirname "$0")"
bin=${LLVM:-/usr/lib/llvm-22/bin}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for v in 4 5; do
	"$bin/clang" --target=wasm32 -c -O1 -fno-optimize-sibling-calls -g -gdwarf-$v \
		-ffile-prefix-map="$PWD"=/src -o "$tmp/calc.o" calc.c
	"$bin/wasm-ld" --no-entry --export=_start -o calc$v.wasm "$tmp/calc.o"
done
