# needs lua sqlite3 make
# One pipeline through all: the shell counts, Lua writes SQL, SQLite computes, the shell
# reads.
HOME=/; export HOME
count() { i=1; while [ $i -le $1 ]; do echo $i; i=$((i + 1)); done; }
count 150 |
	lua -e 'print("create table s(n, q); begin;") for l in io.lines() do print(("insert into s values(%d, %d);"):format(l, l * l)) end print("commit; select n, q, sum(q) over (order by n) from s where n % 30 = 0;")' |
	sqlite3 -separator ' ' |
	while read n q s; do echo "$n: $q, in all $s"; done
printf 'x.db: x.sql\n\t@sqlite3 $@ <$<\nx.sql:\n\t@lua -e "for i = 1, 40 do print(i) end" | while read i; do echo "create table t$$i(a);"; done >$@\n' >Makefile
make x.db; echo "status $?"
sqlite3 x.db 'select count(*) from sqlite_master' | lua -e 'print(io.read("n") + 2)'
lua -e 'local p = io.popen("sqlite3 x.db \"select name from sqlite_master order by 1 limit 3\"") for l in p:lines() do print("lua read " .. l) end'
