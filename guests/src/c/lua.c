// lua: runs one script with arguments. Lua reports errors by longjmp, which
// wasi-libc does not have and WebAssembly has only as exceptions; so here an
// error ends the program, and scripts do without pcall, error and
// coroutine.yield (see lua_throw.h).
#include "lua.h"

#include <stdio.h>
#include <stdlib.h>

#include "lauxlib.h"
#include "lualib.h"

_Noreturn void stasis_lua_throw(lua_State *L) {
	const char *msg = lua_tostring(L, -1);
	fflush(stdout);
	fprintf(stderr, "lua: %s (and no way to catch it here)\n", msg ? msg : "error");
	exit(70);
}

static int panic(lua_State *L) {
	const char *msg = lua_tostring(L, -1);
	fprintf(stderr, "lua: %s\n", msg ? msg : "error");
	return 0;
}

int main(int argc, char **argv) {
	if (argc < 2) {
		fprintf(stderr, "usage: lua SCRIPT [ARG...]\n");
		return 2;
	}
	lua_State *L = luaL_newstate();
	if (!L)
		return 3;
	lua_atpanic(L, panic);
	luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
	luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
	luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
	luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
	luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
	lua_settop(L, 0);
	lua_createtable(L, argc - 2, 1);
	for (int i = 1; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i - 1);
	}
	lua_setglobal(L, "arg");
	if (luaL_loadfilex(L, argv[1], "t") != LUA_OK)
		return panic(L), 1;
	lua_call(L, 0, 0);
	fflush(stdout);
	lua_close(L);
	return 0;
}
