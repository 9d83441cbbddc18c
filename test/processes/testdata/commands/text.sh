# Here-documents, substitutions, expansions, redirections, descriptors.
name=world
while read line; do echo "<$line>"; done <<EOD
hello $name
sum $((2 + 3 * 4))
sub $(echo inner | while read x; do echo "($x)"; done)
EOD
while read -r line; do echo "[$line]"; done <<'EOD'
as $it is \n
EOD
f() { while read l; do echo "$1 $l"; done; }
f first <<-A | f second
	tabs go
	A
echo out >file; echo more >>file; f file <file
exec 3>three; echo "to three" >&3; exec 3>&-; f three <three
exec 4<file; read l <&4; echo "4: $l"; read l <&4; echo "4: $l"; exec 4<&-
{ echo to out; echo to err >&2; } 2>errors; f errors <errors
(echo both; echo of them >&2) >both 2>&1; f both <both
exec 5>&1; echo "5" >&5; { echo hidden; } >/dev/null; exec 5>&-
echo "${name#w} ${name%d} ${#name} ${none-default} ${name+set} ${none:=assigned} $none"
set -- a "b c" d; echo "$# $2 $*"; shift; echo "$1"
for x in "$@"; do echo "arg $x"; done
IFS=:; set -- $(echo a:b:c); unset IFS; echo "$1-$2-$3"
case abc in a*) echo match ;; *) echo none ;; esac
i=0; until [ $i -ge 3 ]; do i=$((i + 1)); [ $i = 2 ] && continue; echo "until $i"; done
eval 'v=evaluated'; echo $v
printf '%s %d %x|%5s|%-5s|\n' text 42 255 right left
(cd /; mkdir 2>/dev/null; cd / && echo "in $PWD")
missing-command 2>/dev/null; echo "missing $?"
[ -f file ] && [ ! -e nofile ] && [ -s file ] && [ -d . ] && echo tests
echo *.none f*e
