# needs make
# GNU make: rules by patterns, what is up to date, errors, jobs side by side.
cat_() { while read -r l; do echo "$l"; done <$1; }
MAKEFLAGS=-r; export MAKEFLAGS
{
	printf 'OBJS = a.o b.o c.o d.o\n'
	printf 'all: prog\n\t@: ; echo done $(words $(OBJS)) $(MAKECMDGOALS)\n'
	printf 'prog: $(OBJS)\n\t@for f in $^; do read l <$$f; echo "$$l"; done >$@\n\t@: ; echo linked $@\n'
	printf '%%.o: %%.c\n\t@i=0; while [ $$i -lt 100 ]; do i=$$((i + 1)); done; read l <$<; echo "object of $$l" >$@\n'
	printf '%%.c:\n\t@echo "source $*" | { read l; echo "$$l" >$@; }\n'
	printf 'show:\n\t@: ; echo "$(shell : ; echo from a shell) $(patsubst %%.o,%%.x,$(OBJS)) $(MAKELEVEL)"\n'
	printf 'sub:\n\t@$(MAKE) --no-print-directory -s show\n'
	printf 'bad:\n\t@: ; echo before\n\t@exit 3\n\t@: ; echo never\n'
	printf 'ignored:\n\t-@exit 4\n\t@: ; echo "goes on"\n'
	printf '.PHONY: all show sub bad ignored\n.SECONDARY:\n'
} >Makefile
make; echo "status $?"
cat_ prog
make -q prog; echo "up to date $?"
make prog
make show; make sub
make bad 2>/dev/null; echo "bad $?"
make ignored 2>/dev/null; echo "ignored $?"
make nothing 2>/dev/null; echo "nothing $?"
make -s -j3 -B -o Makefile prog; echo "side by side $?"
cat_ prog
make -n -B a.o
