# needs sqlite3
# SQLite's shell over a file: from stdin, from a file that is read, in transactions.
HOME=/; export HOME
sqlite3 data.db <<'EOD'
create table t(a integer primary key, b text);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) insert into t select i, 'row ' || i from n;
commit;
select count(*), sum(a), max(b) from t;
EOD
printf '.print printed\nselect count(*) from t where b like '"'%%7'"';\n' >read.sql
sqlite3 data.db '.read read.sql'
sqlite3 -separator , data.db 'select a, b from t where a % 100 = 0 order by a desc'
i=0; while [ $i -lt 60 ]; do echo "insert into t(b) values('piped $i');"; i=$((i + 1)); done | sqlite3 data.db
sqlite3 data.db "select count(*), min(b) from t where b like 'piped%'" | while read l; do echo "read $l"; done
sqlite3 data.db 'begin; delete from t; rollback; select count(*) from t'
sqlite3 data.db 'select * from nowhere' 2>/dev/null; echo "error $?"
sqlite3 data.db 'pragma integrity_check'
