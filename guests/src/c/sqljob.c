// sqljob: a database in a file: inserts and updates in transactions, some of
// them rolled back, scans with a query for each row of another query,
// recursive and window queries, functions of our own called back from SQL. The
// cache is small, so that pages move between file and memory all the time.
#include "guest.h"
#include "sqlite3-binding.h"

#define PATH "/sqljob.db"
#define ACCOUNTS 400
#define ENTRIES 1200

static sqlite3 *db;

static void check(int rc, const char *what) {
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return;
	printf("sqljob: %s: %s (%d)\n", what, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
	exit(1);
}

static void run(const char *sql) { check(sqlite3_exec(db, sql, NULL, NULL, NULL), sql); }

static sqlite3_stmt *prepare(const char *sql) {
	sqlite3_stmt *s;
	check(sqlite3_prepare_v2(db, sql, -1, &s, NULL), sql);
	return s;
}

// digest_row takes in all columns of the row s stands on.
static void digest_row(sqlite3_stmt *s) {
	int n = sqlite3_column_count(s);
	for (int i = 0; i < n; i++) {
		digest_u64((uint64_t)sqlite3_column_type(s, i));
		const unsigned char *t = sqlite3_column_text(s, i);
		digest_bytes(t ? t : (const unsigned char *)"", (size_t)sqlite3_column_bytes(s, i));
	}
}

static void digest_query(const char *sql) {
	sqlite3_stmt *s = prepare(sql);
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		digest_row(s);
	check(rc, sql);
	sqlite3_finalize(s);
}

static int64_t one(const char *sql) {
	sqlite3_stmt *s = prepare(sql);
	check(sqlite3_step(s), sql);
	int64_t v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return v;
}

// mix(a, b) in SQL: a function of ours within the engine's own calls. It runs
// a query of its own now and then.
static void mix(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
	(void)argc;
	uint64_t a = (uint64_t)sqlite3_value_int64(argv[0]), b = (uint64_t)sqlite3_value_int64(argv[1]);
	uint64_t v = (a * 0x9e3779b97f4a7c15u) ^ (b << 7) ^ (b >> 3);
	if (a % 64 == 0)
		v += (uint64_t)one("SELECT count(*) FROM account WHERE branch = 3");
	sqlite3_result_int64(ctx, (int64_t)(v >> 1));
}

static void fold_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
	(void)argc;
	uint64_t *h = sqlite3_aggregate_context(ctx, sizeof *h);
	*h = (*h ^ (uint64_t)sqlite3_value_int64(argv[0])) * 0x100000001b3u;
}

static void fold_final(sqlite3_context *ctx) {
	uint64_t *h = sqlite3_aggregate_context(ctx, sizeof *h);
	sqlite3_result_int64(ctx, (int64_t)(*h >> 1));
}

static void setup(void) {
	remove(PATH);
	remove(PATH "-journal");
	check(sqlite3_open_v2(PATH, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), PATH);
	check(sqlite3_create_function(db, "mix", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, mix, NULL, NULL), "mix");
	check(sqlite3_create_function(db, "fold", 1, SQLITE_UTF8, NULL, NULL, fold_step, fold_final), "fold");
	run("PRAGMA page_size = 4096; PRAGMA cache_size = 40; PRAGMA journal_mode = DELETE;"
	    "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
	    "CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT NOT NULL, branch INT NOT NULL, balance INT NOT NULL);"
	    "CREATE TABLE entry(id INTEGER PRIMARY KEY, account INT NOT NULL REFERENCES account, amount INT NOT NULL,"
	    "  note TEXT NOT NULL, seen INT NOT NULL DEFAULT 0);"
	    "CREATE INDEX entry_account ON entry(account, amount);"
	    "CREATE TABLE audit(id INTEGER PRIMARY KEY, what TEXT, amount INT);"
	    "CREATE TRIGGER entry_added AFTER INSERT ON entry WHEN new.amount > 900 BEGIN"
	    "  INSERT INTO audit(what, amount) VALUES ('large ' || new.account, new.amount); END;");
	run("BEGIN");
	sqlite3_stmt *s = prepare("INSERT INTO account VALUES (?, ?, ?, ?)");
	for (int i = 1; i <= ACCOUNTS; i++) {
		char owner[32];
		snprintf(owner, sizeof owner, "owner-%03d-%x", i, (unsigned)rng() & 0xffff);
		sqlite3_bind_int(s, 1, i);
		sqlite3_bind_text(s, 2, owner, -1, SQLITE_TRANSIENT);
		sqlite3_bind_int(s, 3, i % 7);
		sqlite3_bind_int(s, 4, 1000);
		check(sqlite3_step(s), "insert account");
		sqlite3_reset(s);
	}
	sqlite3_finalize(s);
	run("COMMIT");
}

// post books one round of entries in one transaction, with a savepoint inside
// that every third entry is rolled back to. Every fifth round as a whole is.
static void post(long round) {
	run("BEGIN IMMEDIATE");
	sqlite3_stmt *add = prepare("INSERT INTO entry(account, amount, note) VALUES (?1, ?2, ?3)");
	sqlite3_stmt *book = prepare("UPDATE account SET balance = balance + ?2 WHERE id = ?1");
	for (int i = 0; i < ENTRIES; i++) {
		char note[64];
		int account = 1 + (int)(rng() % ACCOUNTS), amount = (int)(rng() % 2001) - 1000;
		snprintf(note, sizeof note, "round %ld entry %d of %d: %08x", round, i, ENTRIES, (unsigned)rng());
		int save = i % 10 == 0;
		if (save)
			run("SAVEPOINT s");
		sqlite3_bind_int(add, 1, account);
		sqlite3_bind_int(add, 2, amount);
		sqlite3_bind_text(add, 3, note, -1, SQLITE_TRANSIENT);
		check(sqlite3_step(add), "insert entry");
		sqlite3_reset(add);
		sqlite3_bind_int(book, 1, account);
		sqlite3_bind_int(book, 2, amount);
		check(sqlite3_step(book), "update account");
		sqlite3_reset(book);
		if (save)
			run(i % 30 == 0 ? "ROLLBACK TO s; RELEASE s" : "RELEASE s");
	}
	sqlite3_finalize(add);
	sqlite3_finalize(book);
	digest_u64((uint64_t)one("SELECT sum(balance) FROM account"));
	run(round % 5 == 0 ? "ROLLBACK" : "COMMIT");
}

// scan walks all accounts and, for each, a query over its entries; while both
// are open, it writes.
static void scan(void) {
	sqlite3_stmt *outer = prepare("SELECT id, owner, balance FROM account ORDER BY owner DESC");
	sqlite3_stmt *inner = prepare("SELECT amount, length(note), mix(id, amount) FROM entry WHERE account = ?"
	                              " ORDER BY note LIMIT 12");
	sqlite3_stmt *mark = prepare("UPDATE entry SET seen = seen + 1 WHERE account = ? AND amount BETWEEN -50 AND 50");
	run("BEGIN");
	while (sqlite3_step(outer) == SQLITE_ROW) {
		digest_row(outer);
		int id = sqlite3_column_int(outer, 0);
		sqlite3_bind_int(inner, 1, id);
		while (sqlite3_step(inner) == SQLITE_ROW)
			digest_row(inner);
		sqlite3_reset(inner);
		if (id % 16 == 0) {
			sqlite3_bind_int(mark, 1, id);
			check(sqlite3_step(mark), "mark");
			sqlite3_reset(mark);
		}
	}
	run("COMMIT");
	sqlite3_finalize(outer);
	sqlite3_finalize(inner);
	sqlite3_finalize(mark);
}

static void report(void) {
	digest_query("SELECT branch, count(*), sum(balance), min(owner), max(balance), fold(balance)"
	             " FROM (SELECT * FROM account ORDER BY id) GROUP BY branch ORDER BY branch");
	digest_query("SELECT a.branch, e.amount / 100 AS band, count(*), total(e.amount), group_concat(e.id % 10, '')"
	             " FROM (SELECT * FROM entry ORDER BY id DESC LIMIT 4000) e JOIN account a ON a.id = e.account"
	             " GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 4 DESC, 1, 2");
	digest_query("WITH RECURSIVE r(n, x) AS (SELECT 1, 7 UNION ALL SELECT n + 1, (x * 1103515245 + 12345) % 2147483648"
	             " FROM r WHERE n < 3000) SELECT n % 10, sum(x), count(DISTINCT x % 100) FROM r GROUP BY 1 ORDER BY 1");
	digest_query("SELECT id, balance, rank() OVER w, sum(balance) OVER (w ROWS 3 PRECEDING) FROM account"
	             " WINDOW w AS (PARTITION BY branch ORDER BY balance, id) ORDER BY branch, balance, id LIMIT 100");
	digest_query("SELECT count(*), sum(seen), sum(note LIKE '%entry 1%7 of%'), printf('%.3f', avg(amount)) FROM entry");
	digest_query("SELECT count(*), sum(amount), max(what) FROM audit");
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 12);
	setup();
	for (long i = 1; i <= n; i++) {
		post(i);
		progress("sqljob posted", i, n);
		scan();
		progress("sqljob scanned", i, n);
		report();
		progress("sqljob reported", i, n);
	}
	printf("sqljob entries %lld balance %lld audit %lld\n", (long long)one("SELECT count(*) FROM entry"),
	       (long long)one("SELECT sum(balance) FROM account"), (long long)one("SELECT count(*) FROM audit"));
	sqlite3_stmt *s = prepare("PRAGMA integrity_check");
	check(sqlite3_step(s), "integrity_check");
	printf("sqljob integrity %s\n", sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
	check(sqlite3_close(db), "close");
	return done("sqljob");
}
