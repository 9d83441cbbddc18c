# Background jobs and signals.
(exit 4) & wait $!; echo "back $?"
for i in 1 2 3; do (exit $i) & jobs_="$jobs_ $!"; done
for p in $jobs_; do wait $p; echo "job $?"; done
loops=
for i in 1 2 3; do (while :; do :; done) & loops="$loops $!"; done
for p in $loops; do kill -TERM $p; wait $p; echo "killed $?"; done
(while :; do :; done) & p=$!
kill -KILL $p; wait $p; echo "killed $?"
kill -0 $p 2> /dev/null; echo "gone $?"
{ (echo from the back; exit 6) & wait $!; echo $?; } | cat
(cat > job.txt) <<END &
written by a job
END
wait $!; cat job.txt
wait; echo "all $?"
