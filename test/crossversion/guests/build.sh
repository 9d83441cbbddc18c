#!/bin/sh
# Builds the guests: clang with wasm-ld, and wabt's wat2wasm. The modules are
# kept; images hold copies of them, so those stay as they are.
cd "$(dirname "$0")" || exit 1
for f in *.c; do
	clang --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wno-main-return-type \
		-Wl,-z,stack-size=4096 -Wl,--export=_start -Wl,--strip-all -o "${f%.c}.wasm" "$f" || exit 1
done
for f in *.wat; do wat2wasm "$f" -o "${f%.wat}.wasm" || exit 1; done
chmod 644 *.wasm
