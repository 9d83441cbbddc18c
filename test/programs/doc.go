// Package programs runs scripts (testdata) with commands that others wrote for Unix:
// dash, Lua, SQLite's shell and GNU make, built with wasix-libc by package guests. What
// a script must print, errors too, is what it prints on Linux with the same commands.
package programs
