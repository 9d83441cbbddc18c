// wasi-libc has no setjmp; lua_throw.h does without.
