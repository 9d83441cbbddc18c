// interp: parses a small program and walks its tree: an interpreter as one
// writes them by hand, dense in short calls, each through a table of functions.
#include <ctype.h>

#include "guest.h"

enum kind { NUM, VAR, ASSIGN, BIN, IF, WHILE, SEQ, CALL };

struct node {
	enum kind kind;
	int op;      // BIN: operator; VAR, ASSIGN: slot; CALL: function
	int64_t num; // NUM
	struct node *kid[3];
	struct node *next; // CALL: arguments
};

struct func {
	char name[16];
	int params;
	struct node *body;
};

struct frame {
	int64_t slot[26];
};

static struct func funcs[16];
static int nfuncs;
static uint64_t steps;

// Grammar, one token of lookahead:
//   program  = { "def" name "(" vars ")" block }
//   block    = "{" { stmt } "}"
//   stmt     = "while" expr block | "if" expr block [ "else" block ] | var "=" expr ";" | expr ";"
//   expr     = sum { ("<"|"=="|">") sum }; sum = term {("+"|"-") term}; term = factor {("*"|"/"|"%") factor}
static const char *src;

static void fail(const char *what) {
	printf("interp: %s at %.20s\n", what, src);
	exit(1);
}

static void space(void) {
	while (isspace((unsigned char)*src))
		src++;
}

static int accept(const char *tok) {
	space();
	size_t n = strlen(tok);
	if (strncmp(src, tok, n) != 0 || (isalpha((unsigned char)*tok) && isalnum((unsigned char)src[n])))
		return 0;
	src += n;
	return 1;
}

static void expect(const char *tok) {
	if (!accept(tok))
		fail(tok);
}

static struct node *new(enum kind k) {
	struct node *n = calloc(1, sizeof *n);
	n->kind = k;
	return n;
}

static struct node *expr(void);

static void name(char *to) {
	space();
	int n = 0;
	while (isalnum((unsigned char)*src) && n < 15)
		to[n++] = *src++;
	to[n] = 0;
}

static struct node *factor(void) {
	space();
	if (accept("(")) {
		struct node *n = expr();
		expect(")");
		return n;
	}
	if (isdigit((unsigned char)*src)) {
		struct node *n = new (NUM);
		while (isdigit((unsigned char)*src))
			n->num = n->num * 10 + *src++ - '0';
		return n;
	}
	char id[16];
	name(id);
	if (!accept("(")) {
		if (id[0] < 'a' || id[0] > 'z' || id[1])
			fail("variable");
		struct node *n = new (VAR);
		n->op = id[0] - 'a';
		return n;
	}
	struct node *n = new (CALL), **arg = &n->next;
	for (n->op = 0; n->op < nfuncs && strcmp(funcs[n->op].name, id) != 0; n->op++)
		;
	if (n->op == nfuncs)
		fail("function");
	while (!accept(")")) {
		struct node *seq = new (SEQ);
		seq->kid[0] = expr();
		*arg = seq;
		arg = &seq->next;
		accept(",");
	}
	return n;
}

static struct node *binary(struct node *(*sub)(void), const char *const *ops) {
	struct node *l = sub();
	for (;;) {
		const char *const *o = ops;
		while (*o && !accept(*o))
			o++;
		if (!*o)
			return l;
		struct node *n = new (BIN);
		n->op = **o;
		n->kid[0] = l;
		n->kid[1] = sub();
		l = n;
	}
}

static struct node *term(void) {
	static const char *const ops[] = {"*", "/", "%", NULL};
	return binary(factor, ops);
}

static struct node *sum(void) {
	static const char *const ops[] = {"+", "-", NULL};
	return binary(term, ops);
}

static struct node *expr(void) {
	static const char *const ops[] = {"<", "==", ">", NULL};
	return binary(sum, ops);
}

static struct node *block(void);

static struct node *stmt(void) {
	struct node *n;
	if (accept("while")) {
		n = new (WHILE);
		n->kid[0] = expr();
		n->kid[1] = block();
		return n;
	}
	if (accept("if")) {
		n = new (IF);
		n->kid[0] = expr();
		n->kid[1] = block();
		if (accept("else"))
			n->kid[2] = block();
		return n;
	}
	space();
	const char *p = src + 1;
	while (isspace((unsigned char)*p))
		p++;
	if (islower((unsigned char)*src) && *p == '=' && p[1] != '=') {
		n = new (ASSIGN);
		n->op = *src - 'a';
		src = p + 1;
		n->kid[0] = expr();
	} else {
		n = expr();
	}
	expect(";");
	return n;
}

static struct node *block(void) {
	expect("{");
	struct node *head = NULL, **tail = &head;
	while (!accept("}")) {
		struct node *n = new (SEQ);
		n->kid[0] = stmt();
		*tail = n;
		tail = &n->kid[1];
	}
	return head;
}

static void parse(const char *text) {
	src = text;
	while (accept("def")) {
		struct func *f = &funcs[nfuncs++];
		name(f->name);
		expect("(");
		while (!accept(")")) {
			char v[16];
			name(v);
			if (v[0] != 'a' + f->params)
				fail("parameters are a, b, c, …");
			f->params++;
			accept(",");
		}
		f->body = block();
	}
}

typedef int64_t evaluator(struct node *, struct frame *);

static evaluator *const eval_table[];

static inline int64_t eval(struct node *n, struct frame *f) {
	steps++;
	return eval_table[n->kind](n, f);
}

static int64_t eval_num(struct node *n, struct frame *f) {
	(void)f;
	return n->num;
}

static int64_t eval_var(struct node *n, struct frame *f) { return f->slot[n->op]; }

static int64_t eval_assign(struct node *n, struct frame *f) { return f->slot[n->op] = eval(n->kid[0], f); }

static int64_t eval_bin(struct node *n, struct frame *f) {
	int64_t a = eval(n->kid[0], f), b = eval(n->kid[1], f);
	switch (n->op) {
	case '+':
		return a + b;
	case '-':
		return a - b;
	case '*':
		return (int64_t)((uint64_t)a * (uint64_t)b);
	case '/':
		return b ? a / b : 0;
	case '%':
		return b ? a % b : 0;
	case '<':
		return a < b;
	case '>':
		return a > b;
	default:
		return a == b;
	}
}

static int64_t eval_if(struct node *n, struct frame *f) {
	if (eval(n->kid[0], f))
		return eval(n->kid[1], f);
	return n->kid[2] ? eval(n->kid[2], f) : 0;
}

static int64_t eval_while(struct node *n, struct frame *f) {
	int64_t v = 0;
	while (eval(n->kid[0], f))
		v = eval(n->kid[1], f);
	return v;
}

static int64_t eval_seq(struct node *n, struct frame *f) {
	int64_t v = 0;
	for (; n; n = n->kid[1])
		v = eval(n->kid[0], f);
	return v;
}

static int64_t eval_call(struct node *n, struct frame *f) {
	struct frame callee = {{0}};
	int i = 0;
	for (struct node *a = n->next; a; a = a->next)
		callee.slot[i++] = eval(a->kid[0], f);
	return eval(funcs[n->op].body, &callee);
}

static evaluator *const eval_table[] = {
	[NUM] = eval_num, [VAR] = eval_var, [ASSIGN] = eval_assign, [BIN] = eval_bin,
	[IF] = eval_if,   [WHILE] = eval_while, [SEQ] = eval_seq,   [CALL] = eval_call,
};

static const char program[] =
	"def fib(a) { if a < 2 { a; } else { fib(a - 1) + fib(a - 2); } }"
	"def gcd(a, b) { while b > 0 { t = a % b; a = b; b = t; } a; }"
	"def pow(a, b, c) { if b == 0 { 1; } else { h = pow(a, b / 2, c); h = h * h % c;"
	"  if b % 2 { h = h * a % c; } h; } }"
	"def prime(a) { r = 1; d = 2; while (d * d < a + 1) * r { if a % d == 0 { r = 0; } d = d + 1; } r; }"
	"def collatz(a) { n = 0; while a > 1 { if a % 2 { a = 3 * a + 1; } else { a = a / 2; } n = n + 1; } n; }"
	"def main(a) { s = fib(14 + a % 4); i = 2;"
	"  while i < 600 { if prime(i) { s = s + pow(3, i, 1000003); } else { s = s + collatz(i * 7 + a); }"
	"    s = s + gcd(i * 360, a * 84 + i); i = i + 1; } s; }";

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 40);
	parse(program);
	for (long i = 1; i <= n; i++) {
		for (int k = 0; k < 10; k++) {
			struct frame f = {{(int64_t)i * 10 + k}};
			digest_u64((uint64_t)eval(funcs[nfuncs - 1].body, &f));
		}
		digest_u64(steps);
		progress("interp", i, n);
	}
	printf("interp steps %llu\n", (unsigned long long)steps);
	return done("interp");
}
