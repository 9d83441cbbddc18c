#!/bin/sh
# Runs testdata/bench.c on Wasmer, whose fork needs a shared memory and Asyncify: with
# PYTHON, that has wasmer-sdk of PyPI, and clang-22, wasm-ld-22 and wasm-opt. Where there
# is none of it, it says so. The part with signals is left out: a loop without calls
# never gets them there.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
for tool in clang-22 wasm-ld-22 wasm-opt timeout; do
	command -v $tool >/dev/null || { echo "left out: there is no $tool"; exit 0; }
done
"$python" -c 'import wasmer_sdk' 2>/dev/null || { echo "left out: $python has no wasmer-sdk (pip install wasmer-sdk; PYTHON=venv/bin/python)"; exit 0; }
lib=../../guests/lib
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc="clang-22 --target=wasm32 -O2 -std=gnu11 -ffreestanding -fno-builtin -w -mbulk-memory -matomics -I$lib"
$cc -c -o "$tmp/posix.o" $lib/posix.c
$cc -c -o "$tmp/bench.o" testdata/bench.c
clang-22 --target=wasm32 -matomics -mbulk-memory -c -o "$tmp/stacks.o" $lib/stacks.s
wasm-ld-22 --no-entry --strip-debug --gc-sections --stack-first -z stack-size=65536 --export=__stack_pointer \
	--shared-memory --import-memory --export-memory --max-memory=67108864 -o "$tmp/bench.wasm" "$tmp/bench.o" "$tmp/posix.o" "$tmp/stacks.o"
wasm-opt --asyncify -O2 --enable-threads --enable-bulk-memory --enable-sign-ext --enable-mutable-globals \
	--enable-nontrapping-float-to-int --enable-multivalue --enable-reference-types "$tmp/bench.wasm" -o "$tmp/asyncify.wasm"
cat >"$tmp/run.py" <<'EOF'
import asyncio, sys
from pathlib import Path
from wasmer_sdk import PackageCommandDefinition, PackageDefinition, Wasmer

async def main():
    code = Path(sys.argv[1]).read_bytes()
    async with Wasmer() as wasmer:
        pkg = await wasmer.packages.create(PackageDefinition(
            modules={"bench": code}, files={"/t/bench.wasm": code},
            commands={"bench": PackageCommandDefinition(module="bench")}))
        async with await wasmer.sandboxes.create(packages=[pkg]) as sandbox:
            out = await sandbox.command(pkg, sys.argv[2:]).run(check=False)
            print(out.stdout.bytes.decode(), end="")

asyncio.run(main())
EOF
for part in forks execs pipes pingpong; do
	timeout -s KILL 120 "$python" "$tmp/run.py" "$tmp/asyncify.wasm" only $part || echo "$part: no result"
done
