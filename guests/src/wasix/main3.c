// A main of three parameters, compiled with -Dmain=main3: the library knows those of
// none and of two.
#include <unistd.h>

int main3(int argc, char **argv, char **envp);
int main(int argc, char **argv) { return main3(argc, argv, environ); }
