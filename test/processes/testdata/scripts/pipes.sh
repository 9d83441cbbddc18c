# Pipes and redirections.
echo one | cat | cat | cat
{ echo a; echo b; } | { read p; read q; echo "$q$p"; }
echo to a file > out.txt; echo more >> out.txt; cat < out.txt; cat out.txt | cat
i=0; while [ $i -lt 300 ]; do echo "line $i of the many that go through"; i=$((i + 1)); done | { n=0; while read a b c; do n=$((n + 1)); done; echo "$n read"; }
echo error 1>&2 2> /dev/null
{ echo out; echo err 1>&2; } 2> err.txt | { read x; echo "piped $x"; }
cat err.txt
/no/such/program 2> /dev/null; echo "missing $?"
cat < no-such-file 2> /dev/null; echo "no file $?"
false | true; echo $?
true | (exit 5); echo $?
for i in 1 2 3; do echo $i; done > loop.txt; while read v; do echo "<$v>"; done < loop.txt
(echo sub; (echo subsub)) | { read a; read b; echo "$b $a"; }
x=$(echo through | cat | { read v; echo "$v twice $v"; }); echo "$x"
echo $(for i in 1 2 3; do echo $i | cat; done)
