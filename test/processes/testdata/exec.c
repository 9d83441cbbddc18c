// A program that executes itself, again and again, with other arguments,
// variables and files: exec SELF.
#include "posix.h"

static char *const none[] = {NULL};

static void show(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    say(" [%s]", argv[i]);
  say("\n");
  for (char **e = environ; *e; e++)
    say(" {%s}\n", *e);
}

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  char *self = argv[1];
  const char *step = argc > 2 ? argv[2] : "begin";
  if (strcmp(step, "begin") == 0) {
    say("begin\n");
    int fds[2];
    if (pipe(fds))
      return 3;
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    char a[12] = "", b[12] = "";
    a[0] = (char)('0' + fds[0]), b[0] = (char)('0' + fds[1]);
    if (fds[1] > 9)
      return 4;
    say("missing: %d", execve("/no/such/program", argv, none));
    say(" %d\n", errno == ENOENT);
    char *args[] = {"exec", self, "files", a, b, NULL};
    char *env[] = {"ONE=1", "EMPTY=", "LINES=first\nsecond", NULL};
    execve(self, args, env);
    return 5;
  }
  if (strcmp(step, "files") == 0) {
    int closed = argv[3][0] - '0', open = argv[4][0] - '0';
    say("files: %d", fcntl(closed, F_GETFD));
    say(" %d, %d\n", errno == EBADF, fcntl(open, F_GETFD));
    say("ONE is %s, TWO is %s\n", getenv("ONE"), getenv("TWO") ? "there" : "not there");
    show(0, argv);
    char *args[] = {"exec", self, "args", "", "two words", "a\nb", "\xc3\xbc", NULL};
    execve(self, args, none);
    return 6;
  }
  if (strcmp(step, "args") == 0) {
    say("args:");
    show(argc - 3, argv + 3 - 1);
    int pid = getpid();
    char number[2] = "0";
    for (int i = 0; i < 3; i++) { // children that become the program
      number[0] = (char)('0' + i);
      pid_t child = fork();
      if (child == 0) {
        char *args[] = {"exec", self, "child", number, NULL};
        execve(self, args, none);
        _exit(7);
      }
      int status;
      if (waitpid(child, &status, 0) != child)
        return 8;
      say("child %d: %d\n", i, WEXITSTATUS(status));
    }
    say("the same %d\n", pid == getpid());
    char *args[] = {"exec", self, "chain", "5", NULL};
    execve(self, args, none);
    return 9;
  }
  if (strcmp(step, "child") == 0)
    return 40 + argv[3][0] - '0';
  int left = atoi(argv[3]);
  say("chain %d\n", left);
  if (left == 0)
    return 17;
  char number[2] = {(char)('0' + left - 1), 0};
  char *args[] = {"exec", self, "chain", number, NULL};
  execve(self, args, none);
  return 10;
}
