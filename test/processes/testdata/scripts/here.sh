# Here-documents.
x=value
cat <<END
here $x and $(echo a command) $((6 * 7))
  indented \$x
END
cat <<'END'
as it is: $x $(echo no)
END
cat <<END | while read a b; do echo "[$a] [$b]"; done
one two three
four
END
for i in 1 2; do
	cat <<END
in a loop $i
END
done
read first <<END
only the first
and not this
END
echo "$first"
cat <<A; cat <<B
first
A
second
B
if true; then cat <<END; fi
within
END
echo end
