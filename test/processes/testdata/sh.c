// A small shell: lists, pipes, redirections, here-documents, background jobs,
// if, while, for, groups and subshells, variables, $(...), $((...)), traps.
//
//	sh [SCRIPT [ARGS]]
#include "posix.h"

typedef struct node node;
struct node {
  enum { CMD, NOT, PIPE, AND, OR, SEQ, BACK, IF, WHILE, FOR, SUB, GROUP } kind;
  node *a, *b, *c;
  char *words[64]; // CMD: as written; FOR: the variable and its list
  int n, until;
  struct { int op, fd; char *word; } redirs[8]; // op: < > A(ppend) H(ere) h(ere, as it is) & (dup)
  int redirections;
};

static char *text, **args;
static struct { node *of; int at; char *word; } heres[8]; // whose text is to come
static int nheres, line_ended, argc_, status, own_pid, last_back;
static struct { char *name, *value; size_t room; } vars[128];
static int nvars;
static char *traps[65];
static volatile int pending[65];

static _Noreturn void die(const char *what) {
  say("sh: %s\n", what);
  exit(2);
}

// What a command needs while it runs, given back when it has run.

static char temporary[1 << 18];
static size_t used;

static char *take(size_t n) {
  if (used + n > sizeof temporary)
    die("too much at once");
  used += n;
  return temporary + used - n;
}
static char *copy(const char *s) { return strcpy(take(strlen(s) + 1), s); }

// Variables.

static char *get(const char *name) {
  for (int i = 0; i < nvars; i++)
    if (strcmp(vars[i].name, name) == 0)
      return vars[i].value;
  return getenv(name);
}
static void set(const char *name, const char *value) {
  int i = 0;
  while (i < nvars && strcmp(vars[i].name, name))
    i++;
  if (i == 128)
    die("too many variables");
  if (i == nvars)
    vars[nvars++].name = strdup(name);
  size_t n = strlen(value) + 1;
  if (n > vars[i].room)
    vars[i].value = malloc(vars[i].room = 2 * n);
  memmove(vars[i].value, value, n);
}
static char *number(long v) {
  char b[24], *p = b + 23;
  unsigned long u = v < 0 ? -(unsigned long)v : (unsigned long)v;
  *p = 0;
  do
    *--p = (char)('0' + u % 10);
  while (u /= 10);
  if (v < 0)
    *--p = '-';
  return copy(p);
}

// Reading: a word ends at a blank or an operator that is not quoted.

static int is(int c, const char *set_) { return c && strchr(set_, c) != NULL; }
static int name_char(int c, int first) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9'); }

static char *here_text(const char *end_word) {
  char *body = malloc(strlen(text) + 2), *to = body;
  while (*text) {
    char *end = strchr(text, '\n');
    size_t n = end ? (size_t)(end - text) : strlen(text);
    int last = strlen(end_word) == n && strncmp(text, end_word, n) == 0;
    if (!last) {
      memcpy(to, text, n);
      to[n] = '\n';
      to += n + 1;
    }
    text += n + (end != NULL);
    if (last)
      break;
  }
  *to = 0;
  return body;
}
static void read_heres(void) { // text is after a line's end
  int n = nheres;
  nheres = 0;
  for (int i = 0; i < n; i++)
    heres[i].of->redirs[heres[i].at].word = here_text(heres[i].word);
}

static void blanks(void) {
  for (;; text++) {
    if (*text == '#')
      while (*text && *text != '\n')
        text++;
    if (*text == '\\' && text[1] == '\n')
      text++;
    else if (*text != ' ' && *text != '\t')
      return;
  }
}
static void newline(void) {
  text++;
  read_heres();
}
static void lines(void) { // blank lines and ends of commands
  for (blanks(); *text == '\n' || *text == ';'; blanks())
    *text == '\n' ? newline() : (void)text++;
}
static char *skip_quoted(char *p) { // p is at ' or " or $( or a plain character; after it
  if (*p == '\\' && p[1])
    return p + 2;
  if (*p == '\'' || *p == '"') {
    char q = *p++;
    while (*p && *p != q)
      p = q == '"' && (*p == '\\' || (*p == '$' && p[1] == '(')) ? skip_quoted(p) : p + 1;
    return *p ? p + 1 : p;
  }
  if (*p == '$' && p[1] == '(') {
    int depth = 0;
    for (p++; *p;) {
      depth += (*p == '(') - (*p == ')');
      p = is(*p, "'\"\\") ? skip_quoted(p) : p + 1;
      if (depth == 0)
        break;
    }
    return p;
  }
  return p + 1;
}
static char *word(void) {
  blanks();
  char *p = text;
  while (*p && !is(*p, " \t\n;&|<>()"))
    p = skip_quoted(p);
  if (p == text)
    return NULL;
  char *w = malloc((size_t)(p - text) + 1);
  memcpy(w, text, (size_t)(p - text));
  w[p - text] = 0;
  text = p;
  return w;
}
static int ahead(const char *w) { // whether this word comes; it is taken then
  blanks();
  size_t n = strlen(w);
  if (strncmp(text, w, n) || (text[n] && !is(text[n], " \t\n;&|<>()")))
    return 0;
  text += n;
  return 1;
}
static void expect(const char *w) {
  lines();
  if (!ahead(w))
    die(w);
}

static node *list(void);
static node *make(int kind, node *a, node *b) {
  node *n = memset(malloc(sizeof *n), 0, sizeof *n);
  n->kind = kind;
  n->a = a;
  n->b = b;
  return n;
}

static int redirection(node *n) {
  blanks();
  char *p = text;
  int fd = -1;
  if (*p >= '0' && *p <= '9' && is(p[1], "<>"))
    fd = *p++ - '0';
  if (!is(*p, "<>"))
    return 0;
  int i = n->redirections++, op = *p++;
  if (i == 8)
    die("too many redirections");
  if (op == '>' && *p == '>')
    op = 'A', p++;
  else if (op == '<' && *p == '<')
    op = 'H', p++;
  else if (*p == '&')
    op = '&', p++;
  n->redirs[i].fd = fd >= 0 ? fd : *text == '<' ? 0 : 1;
  text = p;
  char *w = word();
  if (!w)
    die("a redirection to nothing");
  n->redirs[i].op = op;
  n->redirs[i].word = w;
  if (op == 'H') {
    if (nheres == 8)
      die("too many here-documents");
    if (is(*w, "'\"")) {
      n->redirs[i].op = 'h';
      w++, w[strlen(w) - 1] = 0;
    }
    heres[nheres].of = n;
    heres[nheres].at = i;
    heres[nheres++].word = w;
  }
  return 1;
}

static node *compound(void) {
  node *n = NULL;
  if (ahead("if")) {
    n = make(IF, list(), NULL);
    expect("then");
    n->b = list();
    if (ahead("elif")) {
      text -= 2; // as "else if", with one fi
      n->c = compound();
      return n;
    }
    if (ahead("else"))
      n->c = list();
    expect("fi");
  } else if (ahead("while") || ahead("until")) {
    int until = text[-1] == 'l';
    n = make(WHILE, list(), NULL);
    n->until = until;
    expect("do");
    n->b = list();
    expect("done");
  } else if (ahead("for")) {
    n = make(FOR, NULL, NULL);
    n->words[n->n++] = word();
    if (ahead("in"))
      for (char *w; (w = word());)
        n->words[n->n++] = w;
    expect("do");
    n->a = list();
    expect("done");
  } else if (ahead("{")) {
    n = make(GROUP, list(), NULL);
    expect("}");
  } else if (*text == '(') {
    text++;
    n = make(SUB, list(), NULL);
    lines();
    if (*text++ != ')')
      die("no )");
  }
  while (n && redirection(n))
    ;
  return n;
}

static node *command(void) {
  node *n = compound();
  if (n)
    return n;
  n = make(CMD, NULL, NULL);
  for (char *w;;) {
    if (redirection(n))
      continue;
    if (!(w = word()))
      break;
    if (n->n == 63)
      die("too many words");
    n->words[n->n++] = w;
  }
  return n->n || n->redirections ? n : NULL;
}
static node *pipeline(void) {
  int not = ahead("!");
  node *n = command();
  for (blanks(); n && *text == '|' && text[1] != '|'; blanks()) {
    text++;
    lines();
    n = make(PIPE, n, command());
  }
  return not ? make(NOT, n, NULL) : n;
}
static node *and_or(void) {
  node *n = pipeline();
  for (blanks(); n && ((*text == '&' && text[1] == '&') || (*text == '|' && text[1] == '|')); blanks()) {
    int kind = *text == '&' ? AND : OR;
    text += 2;
    lines();
    n = make(kind, n, pipeline());
  }
  return n;
}
static int list_ends(void) {
  static const char *const ends[] = {"then", "elif", "else", "fi", "do", "done", "}"};
  lines();
  char *p = text;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (ahead(ends[i])) {
      text = p;
      return 1;
    }
  return !*text || *text == ')';
}
static node *one(void) { // a command and what ends it
  node *n = and_or();
  blanks();
  if (n && *text == '&') {
    text++;
    n = make(BACK, n, NULL);
  }
  if (!n && *text)
    die("what is this?");
  blanks();
  line_ended = *text == '\n';
  if (line_ended)
    newline();
  return n;
}
static node *line(void) { // all of it, since what here-documents are follows
  node *n = one();
  while (!line_ended) {
    if (*text == ';')
      text++;
    blanks();
    if (!*text || *text == '\n')
      break;
    n = make(SEQ, n, one());
  }
  if (!line_ended && *text)
    newline();
  return n;
}
static node *list(void) {
  node *n = NULL;
  while (!list_ends()) {
    node *next = one();
    n = n ? make(SEQ, n, next) : next;
  }
  return n;
}

// Expanding: quotes go, values come; what is not quoted is split at blanks.

static int run(node *n);
static int run_text(char *script);
static int substituted; // what the last $(...) has returned
static struct { char *b; size_t n; char **out; int count, some, quoted; } ex;

static void add(const char *s, int split) {
  for (; *s; s++) {
    if (split && is(*s, " \t\n")) {
      if (ex.some) {
        ex.b[ex.n] = 0;
        ex.out[ex.count++] = copy(ex.b);
        ex.n = 0;
        ex.some = 0;
      }
    } else {
      if (ex.n > 4000 || ex.count > 250)
        die("too long");
      ex.b[ex.n++] = *s;
      ex.some = 1;
    }
  }
}

static char *output_of(char *script) {
  int fds[2];
  if (pipe(fds))
    die("pipe");
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[0]);
    dup2(fds[1], 1);
    close(fds[1]);
    exit(run_text(script));
  }
  close(fds[1]);
  char *b = take(4096);
  size_t n = 0;
  for (ssize_t k; n < 4095 && (k = read(fds[0], b + n, 4095 - n)) > 0;)
    n += (size_t)k;
  close(fds[0]);
  int st;
  waitpid(pid, &st, 0);
  substituted = WEXITSTATUS(st);
  while (n && b[n - 1] == '\n')
    n--;
  b[n] = 0;
  return b;
}

static long sum_(char **p);
static long atom(char **p) {
  while (is(**p, " "))
    ++*p;
  if (**p == '(' || **p == '-') {
    int minus = *(*p)++ == '-';
    long v = minus ? -atom(p) : sum_(p);
    if (!minus && **p == ')')
      ++*p;
    return v;
  }
  char name[32];
  int n = 0;
  while (is(**p, "$"))
    ++*p;
  while (n < 31 && name_char(**p, 0))
    name[n++] = *(*p)++;
  name[n] = 0;
  return name_char(name[0], 1) ? atoi(get(name) ? get(name) : "0") : atoi(name);
}
static long product(char **p) {
  long v = atom(p);
  for (;;) {
    while (is(**p, " "))
      ++*p;
    if (!is(**p, "*/%"))
      return v;
    char op = *(*p)++;
    long w = atom(p);
    if (op != '*' && w == 0)
      die("division by 0");
    v = op == '*' ? v * w : op == '/' ? v / w : v % w;
  }
}
static long sum_(char **p) {
  long v = product(p);
  while (is(**p, "+-"))
    v = *(*p)++ == '+' ? v + product(p) : v - product(p);
  return v;
}

static char *dollar(char *p, int split) { // p is after the $; after what it names
  char name[64];
  int n = 0, brace = *p == '{';
  if (*p == '(') {
    char *end = skip_quoted(p - 1), *inner = copy(p + 1);
    inner[end - p - 2] = 0;
    if (*inner == '(') {
      inner++;
      add(number(sum_(&inner)), split);
    } else {
      typeof(ex) saved = ex; // the command expands words, too
      char *got = output_of(inner);
      ex = saved;
      add(got, split);
    }
    return end;
  }
  if (is(*(p + brace), "?$!#123456789"))
    name[n++] = p[brace], p += brace + 1;
  else
    for (p += brace; n < 63 && name_char(*p, n == 0);)
      name[n++] = *p++;
  name[n] = 0;
  if (brace && *p == '}')
    p++;
  const char *v = n == 0 ? "$" : *name == '?' ? number(status) : *name == '$' ? number(own_pid) : *name == '!' ? number(last_back)
    : *name == '#' ? number(argc_) : *name >= '1' && *name <= '9' ? (*name - '0' <= argc_ ? args[*name - '0' - 1] : "") : get(name);
  add(v ? v : "", split);
  return p;
}

static void expand_into(const char *word_, int here, int assigned) {
  for (char *p = (char *)word_; *p;) {
    char one_[2] = {*p, 0};
    if (!here && *p == '\'') {
      for (ex.some = 1, p++; *p && *p != '\''; p++)
        one_[0] = *p, add(one_, 0);
      p += *p != 0;
    } else if (!here && *p == '"') {
      for (ex.some = 1, p++; *p && *p != '"';)
        if (*p == '$')
          p = dollar(p + 1, 0);
        else
          p += *p == '\\' && is(p[1], "\"\\$"), one_[0] = *p++, add(one_, 0);
      p += *p != 0;
    } else if (*p == '\\' && p[1] && (!here || is(p[1], "\\$"))) {
      one_[0] = p[1], add(one_, 0);
      p += 2;
    } else if (*p == '$') {
      p = dollar(p + 1, !here && !assigned);
    } else {
      add(one_, 0), p++;
    }
  }
}
static int expand(char **words, int n, char **out) {
  char b[4200];
  ex.out = out;
  ex.count = 0;
  for (int i = 0; i < n; i++) {
    ex.b = b, ex.n = 0, ex.some = 0;
    expand_into(words[i], 0, 0);
    if (ex.some) {
      b[ex.n] = 0;
      out[ex.count++] = copy(b);
    }
    ex.b = b;
  }
  out[ex.count] = NULL;
  return ex.count;
}
static char *expand_one(const char *word_, int here) {
  char *b = take(4200), *out[1];
  typeof(ex) saved = ex;
  ex.b = b, ex.n = 0, ex.count = 0, ex.out = out;
  expand_into(word_, here, 1);
  b[ex.n] = 0;
  ex = saved;
  return b;
}

// Running.

static const struct { const char *name; int sig; } signals[] = {
  {"EXIT", 0}, {"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"CHLD", SIGCHLD},
};
static int signal_number(const char *s) {
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (strcmp(s, signals[i].name) == 0)
      return signals[i].sig;
  return atoi(s);
}
static void came(int sig) { pending[sig] = 1; }
static void run_traps(void) {
  for (int sig = 1; sig < 65; sig++)
    if (pending[sig]) {
      pending[sig] = 0;
      int was = status;
      if (traps[sig])
        run_text(traps[sig]);
      status = was;
    }
}
static _Noreturn void leave(int code) {
  status = code;
  char *last = traps[0];
  traps[0] = NULL;
  if (last)
    run_text(last);
  exit(code);
}
static int code_of(int st) { return WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st); }
static int wait_for(pid_t pid) {
  int st;
  pid_t got;
  while ((got = waitpid(pid, &st, 0)) < 0 && errno == EINTR)
    run_traps();
  return got < 0 ? 127 : code_of(st);
}
static void child(void) { // what a subshell forgets
  for (int sig = 0; sig < 65; sig++)
    if (traps[sig] && *traps[sig]) {
      traps[sig] = NULL;
      if (sig)
        signal(sig, SIG_DFL);
    }
}

static int test(char **w, int n) {
  if (n && strcmp(w[0], "!") == 0)
    return !test(w + 1, n - 1);
  if (n == 1)
    return !*w[0];
  if (n == 2)
    return strcmp(w[0], "-n") == 0 ? !*w[1] : strcmp(w[0], "-z") == 0 ? *w[1] != 0 : 2;
  if (n != 3)
    return n ? 2 : 1;
  int a = atoi(w[0]), b = atoi(w[2]), same = strcmp(w[0], w[2]) == 0;
  const char *op = w[1];
  int yes = strcmp(op, "=") == 0 ? same : strcmp(op, "!=") == 0 ? !same : strcmp(op, "-eq") == 0 ? a == b : strcmp(op, "-ne") == 0 ? a != b
    : strcmp(op, "-lt") == 0 ? a < b : strcmp(op, "-le") == 0 ? a <= b : strcmp(op, "-gt") == 0 ? a > b : strcmp(op, "-ge") == 0 ? a >= b : -1;
  return yes < 0 ? 2 : !yes;
}
static int cat(char **files) {
  char b[512];
  for (int i = 0; i == 0 || files[i]; i++) {
    int fd = files[i] ? open(files[i], O_RDONLY) : 0;
    if (fd < 0)
      return 1;
    for (ssize_t n; (n = read(fd, b, sizeof b)) > 0;)
      if (write(1, b, (size_t)n) != n)
        return 1;
    if (fd)
      close(fd);
    if (!files[i])
      break;
  }
  return 0;
}
static int read_line(char **names) {
  char b[512], *p = b;
  size_t n = 0;
  ssize_t k = 0;
  while (n < 511 && (k = read(0, b + n, 1)) == 1 && b[n] != '\n')
    n++;
  b[n] = 0;
  for (; *names; names++) { // the last one has the rest
    while (is(*p, " \t"))
      p++;
    char *end = p;
    while (*end && (names[1] == NULL || !is(*end, " \t")))
      end++;
    char c = *end;
    *end = 0;
    set(*names, p);
    *end = c;
    p = end;
  }
  return k != 1;
}

// builtin runs a command of the shell's own; -1 if it is none.
static int builtin(char **w, int n) {
  const char *c = w[0];
  if (strcmp(c, "echo") == 0) {
    for (int i = 1; i < n; i++)
      say("%s%s", w[i], i + 1 < n ? " " : "");
    say("\n");
    return 0;
  }
  if (strcmp(c, ":") == 0 || strcmp(c, "true") == 0)
    return 0;
  if (strcmp(c, "false") == 0)
    return 1;
  if (strcmp(c, "test") == 0 || strcmp(c, "[") == 0)
    return test(w + 1, n - 1 - (*c == '['));
  if (strcmp(c, "exit") == 0)
    leave(n > 1 ? atoi(w[1]) & 255 : status);
  if (strcmp(c, "cat") == 0)
    return cat(w + 1);
  if (strcmp(c, "read") == 0)
    return read_line(w + 1);
  if (strcmp(c, "cd") == 0)
    return n > 1 && chdir(w[1]) == 0 ? 0 : 2;
  if (strcmp(c, "kill") == 0) {
    int sig = n > 2 && *w[1] == '-' ? signal_number(w[1] + 1) : SIGTERM, bad = 0;
    for (int i = 1 + (sig != SIGTERM || *w[1] == '-'); i < n; i++)
      bad |= kill(atoi(w[i]), sig) != 0;
    return bad;
  }
  if (strcmp(c, "wait") == 0) {
    if (n > 1)
      return wait_for(atoi(w[1]));
    while (wait_for(-1) != 127)
      ;
    return 0;
  }
  if (strcmp(c, "trap") == 0) {
    for (int i = 2; i < n; i++) {
      int sig = signal_number(w[i]), off = strcmp(w[1], "-") == 0;
      traps[sig] = off ? NULL : strdup(w[1]);
      if (sig)
        signal(sig, off ? SIG_DFL : *w[1] ? came : SIG_IGN);
    }
    return 0;
  }
  return -1;
}

// redirect changes fds; with saved, what they were is kept at 20 and above.
static int redirect(node *n, int *saved) {
  for (int i = 0; i < n->redirections; i++) {
    int op = n->redirs[i].op, fd = n->redirs[i].fd, from;
    char *w = op == 'h' ? n->redirs[i].word : expand_one(n->redirs[i].word, op == 'H');
    if (saved)
      saved[i] = fcntl(fd, F_DUPFD_CLOEXEC, 20);
    if (op == 'H' || op == 'h') {
      int fds[2];
      if (pipe(fds))
        die("pipe");
      if (strlen(w) > 60000)
        die("the here-document is too long");
      if (write(fds[1], w, strlen(w)) < 0)
        die("write");
      close(fds[1]);
      from = fds[0];
    } else if (op == '&') {
      if (dup2(atoi(w), fd) < 0)
        return 0;
      continue;
    } else {
      from = open(w, op == '<' ? O_RDONLY : O_WRONLY | O_CREAT | (op == 'A' ? O_APPEND : O_TRUNC), 0644);
      if (from < 0)
        return 0;
    }
    if (from != fd) {
      dup2(from, fd);
      close(from);
    }
  }
  return 1;
}
static void restore(node *n, int *saved) {
  for (int i = n->redirections; i-- > 0;) {
    if (saved[i] < 0) {
      close(n->redirs[i].fd);
      continue;
    }
    dup2(saved[i], n->redirs[i].fd);
    close(saved[i]);
  }
}

static int assignment(char *w) {
  char *eq = strchr(w, '=');
  if (!eq || eq == w)
    return 0;
  for (char *p = w; p < eq; p++)
    if (!name_char(*p, p == w))
      return 0;
  char *name = copy(w);
  name[eq - w] = 0;
  set(name, expand_one(eq + 1, 0));
  return 1;
}
static int run_command(node *n) {
  char *w[256];
  int first = 0;
  substituted = 0;
  while (first < n->n && assignment(n->words[first]))
    first++;
  int count = expand(n->words + first, n->n - first, w);
  if (count == 0)
    return substituted;
  int code = builtin(w, count);
  if (code >= 0)
    return code;
  pid_t pid = fork();
  if (pid == 0) {
    execvp(w[0], w);
    exit(127);
  }
  return wait_for(pid);
}
static int run_pipe(node *n) {
  int fds[2];
  if (pipe(fds))
    die("pipe");
  pid_t pids[2];
  for (int i = 0; i < 2; i++)
    if ((pids[i] = fork()) == 0) {
      child();
      dup2(fds[!i], !i);
      close(fds[0]);
      close(fds[1]);
      exit(run(i ? n->b : n->a));
    }
  close(fds[0]);
  close(fds[1]);
  wait_for(pids[0]);
  return wait_for(pids[1]);
}
static int run_kind(node *n) {
  char *w[256];
  pid_t pid;
  switch (n->kind) {
  case CMD: return run_command(n);
  case NOT: return !run(n->a);
  case PIPE: return run_pipe(n);
  case AND: return run(n->a) ? status : run(n->b);
  case OR: return run(n->a) ? run(n->b) : 0;
  case SEQ: return run(n->a), run(n->b);
  case GROUP: return run(n->a);
  case IF: return run(n->a) == 0 ? run(n->b) : n->c ? run(n->c) : 0;
  case WHILE: {
    int code = 0;
    while ((run(n->a) == 0) != n->until)
      code = run(n->b);
    return code;
  }
  case FOR: {
    int count = expand(n->words + 1, n->n - 1, w), code = 0;
    for (int i = 0; i < count; i++) {
      set(n->words[0], w[i]);
      code = run(n->a);
    }
    return code;
  }
  case SUB:
  case BACK:
    if ((pid = fork()) == 0) {
      node *a = n->a;
      child();
      if (a && a->kind == SUB && redirect(a, NULL)) // one process is enough
        a = a->a;
      leave(run(a));
    }
    if (n->kind == SUB)
      return wait_for(pid);
    last_back = pid;
    return 0;
  }
  return 2;
}
static int run(node *n) {
  if (!n)
    return 0;
  size_t before = used;
  int saved[8], ok = !n->redirections || redirect(n, saved);
  status = ok ? run_kind(n) : 2;
  if (n->redirections)
    restore(n, saved);
  used = before;
  run_traps();
  return status;
}
// run_text runs each line before it reads the next one.
static int run_text(char *script) {
  char *was = text;
  text = strdup(script);
  for (;;) {
    lines();
    if (!*text)
      break;
    node *n = line();
    char *rest = text;
    run(n);
    text = rest;
  }
  text = was;
  return status;
}

int main(int argc, char **argv) {
  int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : 0;
  if (fd < 0)
    die("there is no such script");
  own_pid = getpid();
  argc_ = argc > 2 ? argc - 2 : 0;
  args = argv + 2;
  char *script = malloc(65536);
  size_t n = 0;
  for (ssize_t k; n < 65535 && (k = read(fd, script + n, 65535 - n)) > 0;)
    n += (size_t)k;
  script[n] = 0;
  if (fd)
    close(fd);
  leave(run_text(script));
}
