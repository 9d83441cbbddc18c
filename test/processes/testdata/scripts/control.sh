# Lists, conditions, loops.
for i in 1 2 3; do echo "i=$i"; done
n=0
while [ $n -lt 4 ]; do n=$((n + 1)); echo "n $n"; done
until [ $n -eq 0 ]; do n=$((n - 1)); done; echo "n $n"
if [ "$n" = 0 ]; then echo zero; elif true; then echo other; else echo none; fi
if false; then echo no; elif test a != b; then echo elif; else echo none; fi
if ! [ -n "" ]; then echo not; fi
if [ -z "" ]; then
	echo deep
	if false; then
		echo no
	else
		for a in x y; do
			for b in 1 2; do echo "$a$b"; done
		done
	fi
fi
false || echo or; true && echo and; false && echo no || echo either
true; echo $?; false; echo $?
(exit 4); echo $?
(x=6; echo in $x; exit 3); echo "after [$x] $?"
{ echo in a group; x=7; }; echo $x
list="a b c"; for w in $list d; do echo "<$w>"; done
sum=0; i=1
while [ $i -le 100 ]; do sum=$((sum + i)); i=$((i + 1)); done; echo $sum
exit 9
