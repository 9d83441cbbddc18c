#!/bin/sh
# Makes NAME.wasm of each NAME.c: clang 14 and lld of Debian.
set -eu
cd "$(dirname "$0")"
for c in *.c; do
	clang --target=wasm32 -O2 -ffreestanding -nostdlib -matomics -mbulk-memory -Wall -Wextra -Wno-unused-function \
		-Wl,--no-entry,--shared-memory,--import-memory,--max-memory=16777216,--strip-debug \
		-o "${c%.c}.wasm" "$c" start.s
done
for w in *.wat; do # wabt's
	wat2wasm --enable-threads "$w" -o "${w%.wat}.wasm"
done
