// Put before each of Lua's files, by -include. wasi-libc has no setjmp, so an
// error ends the program instead of jumping, and protected calls run
// unprotected.
#ifndef STASIS_LUA_THROW_H
#define STASIS_LUA_THROW_H

struct lua_State;
_Noreturn void stasis_lua_throw(struct lua_State *L);

#define LUAI_THROW(L, c) ((void)(c), stasis_lua_throw(L))
#define LUAI_TRY(L, c, a) {a}
#define luai_jmpbuf int

// The order of pairs is the same in each run.
#define luai_makeseed(L) ((void)(L), 0x57a515u)

#endif
