# Pipelines of functions, subshells and builtins; the last one's status; a reader that
# goes early.
numbers() { i=0; while [ $i -lt $1 ]; do echo $i; i=$((i + 1)); done; }
double() { while read n; do echo $((n * 2)); done; }
sum() { s=0; while read n; do s=$((s + n)); done; echo "sum $s"; }
numbers 300 | double | double | sum
numbers 200 | while read n; do case $n in *7) echo "seven in $n" ;; esac; done | { read a; read b; echo "$a, $b"; }
numbers 100000 | { read a; read b; echo "two: $a $b"; }
echo one | (read x; echo "sub $x"; exit 3)
echo "status $?"
(exit 4) | true
echo "status $?"
! true | false
echo "negated $?"
numbers 40 | (double | (double | (double | sum)))
for word in a b c; do echo $word; done | { while read w; do line="$line$w"; done; echo "$line"; }
x=$(numbers 50 | double | sum)
echo "captured $x"
