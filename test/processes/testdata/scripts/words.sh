# Quoting, variables, substitution.
echo hello "two  words" 'single $x' a\ b
x=5; y="$x and $((x * 3 + 1))"
echo $y ${x}th "$y" "$nothing" end
echo $(echo nested $(echo deeper)) "$(echo 'kept  apart')" $(echo not  apart)
z=$(echo several; echo lines); echo "$z"; echo $z
echo $(((2 + 3) * -4 % 7)) $((x - 10)) $((100 / 7))
empty=; echo "[$empty]" $empty "[]"
echo one;echo two # and a comment
echo 'it'"'"'s'
x=1 y=2; echo $x$y
echo $# "$1" "$2"
