#!/bin/sh
# Makes NAME.wasm of each NAME.c and NAME.cpp: clang 22 and lld of Debian. The
# library is guests/lib; there is no libc.
set -eu
cd "$(dirname "$0")"
lib=../../../guests/lib
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc="clang-22 --target=wasm32 -O2 -std=gnu11 -ffreestanding -fno-builtin -Wall -Wextra -mbulk-memory -I$lib"
link="wasm-ld-22 --no-entry --strip-debug --gc-sections --stack-first -z stack-size=65536 --export=__stack_pointer --max-memory=67108864"
$cc -c -o "$tmp/lib-posix.o" $lib/posix.c
clang-22 --target=wasm32 -c -o "$tmp/lib-stacks.o" $lib/stacks.s
clang-22 --target=wasm32 -matomics -mbulk-memory -c -o "$tmp/lib-threads.o" $lib/threads.s
$cc -DPOSIX_THREADS -matomics -c -o "$tmp/lib-posix-threads.o" $lib/posix.c
for c in *.c; do
	n=${c%.c}
	if [ "$n" = threads ] || [ "$n" = threadbomb ]; then
		$cc -DPOSIX_THREADS -matomics -c -o "$tmp/$n.o" "$c"
		$link --shared-memory --import-memory -o "$n.wasm" "$tmp/$n.o" "$tmp/lib-posix-threads.o" "$tmp/lib-threads.o"
	else
		$cc -c -o "$tmp/$n.o" "$c"
		$link -o "$n.wasm" "$tmp/$n.o" "$tmp/lib-posix.o" "$tmp/lib-stacks.o"
	fi
done
for legacy in true false; do
	n=forkthrow-$([ $legacy = true ] && echo legacy || echo exnref)
	clang++-22 --target=wasm32 -O1 -ffreestanding -fwasm-exceptions -mllvm -wasm-use-legacy-eh=$legacy -fno-rtti -Wall -Wextra -c -o "$tmp/$n.o" forkthrow.cpp
	$link -o "$n.wasm" "$tmp/$n.o" "$tmp/lib-posix.o" "$tmp/lib-stacks.o"
done
