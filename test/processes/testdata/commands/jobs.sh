# Background jobs, wait for one and for all, their statuses, a job that is killed.
work() { i=0; while [ $i -lt $1 ]; do i=$((i + 1)); done; }
(work 500; exit 11) & a=$!
(work 200; exit 12) & b=$!
(work 50; exit 13) & c=$!
wait $b; echo "b $?"
wait $a; echo "a $?"
wait $c; echo "c $?"
wait $c 2>/dev/null; echo "again $?"
(while :; do :; done) & loop=$!
kill -TERM $loop
wait $loop 2>/dev/null; echo "killed $?"
for n in 1 2 3 4 5; do (work 100; echo "done $n" >job$n) & done
wait
echo "all $?"
for n in 1 2 3 4 5; do read line <job$n; echo $line; done
work 300 | work 300 & p=$!
wait $p; echo "pipeline $?"
wait 99999 2>/dev/null; echo "nobody $?"
{ kill -0 $$ && echo "here"; } &
wait
sh -c 'kill -KILL $$'; echo "sh $?"
