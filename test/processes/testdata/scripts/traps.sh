# Traps.
trap 'echo got USR1; n=$((n + 1))' USR1
n=0
kill -USR1 $$; echo after the first
kill -USR1 $$; kill -USR1 $$; echo "after $n"
(kill -USR1 $$) & wait $!
echo "after the job $n"
trap '' USR2; kill -USR2 $$; echo ignored
trap - USR1; trap 'echo INT again' INT
kill -INT $$; echo not dead
(trap 'echo sub leaves' EXIT; echo sub)
i=0
trap 'i=$((i + 1))' USR1
while [ $i -lt 20 ]; do kill -USR1 $$; done; echo "counted $i"
(while :; do :; done) & p=$!
trap "kill -KILL $p; echo cleaned" EXIT
echo leaving
exit 7
