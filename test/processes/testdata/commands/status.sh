# Exit codes and errors, as a script sees them.
check() { echo "$1: $?"; }
false; check false
true; check true
(exit 42); check exit
sh -c 'exit 300'; check "300 and 255"
sh -c 'nosuch' 2>/dev/null; check nosuch
sh nofile 2>/dev/null; check nofile
sh -c 'set -e; false; echo never'; check set-e
sh -c 'set -u; echo $nothing; echo never' 2>/dev/null; check set-u
sh -c 'f() { return 7; }; f'; check return
sh -c 'exec sh -c "exit 8"'; check exec
{ sh -c 'kill -ABRT $$'; } 2>/dev/null; check abort
sh -c 'if true; then exit 1; fi | exit 6'; check pipeline
echo 'exit 21' | sh; check stdin
printf '#!/bin/sh\nexit 22\n' >script; sh ./script; check script
x=$(exit 23); check substitution
while :; do break; done; check loop
cat_() { while read -r l; do echo "$l"; done; }
sh -c 'echo "args: $0 $1 $2"
echo "second line"' name 'one
two' three | cat_
VAR=local sh -c 'echo $VAR'; echo "${VAR-unset}"
export OUT=exported; sh -c 'echo $OUT'
command -v echo; command -v nosuch; check command
exit 17
