// Package processes runs programs of many processes: C of ours (testdata, made by
// build.sh with the library in guests/lib). What each of them must print and
// return is what it prints and returns on Linux (want), and what dash prints of
// the shell's scripts.
package processes
