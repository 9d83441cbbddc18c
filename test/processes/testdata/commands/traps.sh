# Traps: of signals in loops and in waits, nested, ignored ones inherited, EXIT.
trap 'echo "exit trap, status $?"' EXIT
n=0
trap 'n=$((n + 1))' USR1
i=0
while [ $i -lt 20 ]; do kill -USR1 $$; i=$((i + 1)); done
echo "counted $n"
trap 'echo term' TERM
(i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; kill -TERM $$; while [ ! -e go ]; do :; done; exit 6) &
wait $!; echo "interrupted $?"
: >go
wait $!; echo "waited $?"
trap '' INT
sh -c 'kill -INT $$; echo "survives"'
trap - INT
sh -c 'kill -INT $$; echo "does not"'; echo "interrupted $?"
(trap 'echo "sub exits"; exit 5' EXIT; exit 1); echo "sub $?"
trap 'echo outer; kill -USR2 $$; echo "outer ends"' HUP
trap 'echo inner' USR2
kill -HUP $$
trap
trap 'echo pipe broke >&2' PIPE
(trap - PIPE; while :; do echo y; done) | { read y; echo "got $y"; }
exit 9
