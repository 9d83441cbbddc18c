// Package ttyfs has terminals of our own: a line discipline with the host on
// one side, which types and shows, and files of the guest on the other. It is
// what Linux calls a pty with N_TTY on it, and behaves as that does, byte for
// byte (termios(3), ioctl_tty(2)); a test compares the two. No terminal of the
// host takes part, so that a guest keeps its terminal when the client goes,
// another comes, or the system is restored elsewhere.
//
// # The two sides
//
// The host calls [Terminal.Input] with what was typed and [Terminal.ReadOutput]
// for what is to be shown; [Terminal.Master] tells when either has something to
// do. Neither blocks. Output that nobody takes stops the guest's writes once
// OutputSize bytes wait; while no client is there, [Terminal.SetDiscard] lets
// them through to Options.Tee alone.
//
// Of a pty, the host's side is a file of the guest, too: see [Ptys].
//
// The guest reads and writes files from [Terminal.Open]. As everywhere in the
// vfs, what would block gives EAGAIN.
//
// # Where it is not Linux
//
//   - There are no sessions and process groups: a signal goes to Options.Signal,
//     whose owner knows for whom it is, and nobody gets SIGTTIN or SIGTTOU.
//   - VTIME has no timer. With VMIN 0, a read waits for a byte for as long as it
//     takes; with VMIN above 0, it returns as if the time between two bytes were
//     over at once.
//   - A nonblocking read of fewer than VMIN bytes gives EAGAIN, where Linux gives
//     the bytes. POSIX allows both; a File does not know whether its fd blocks.
//   - IUCLC, OLCUC, PARMRK, EXTPROC and TOSTOP, and what concerns modems, are
//     kept in the termios and do nothing. So does IMAXBEL: Linux, too, takes the
//     place of the last character instead of ringing a bell.
//   - Echoes that found no room are shown when there is room again; Linux waits
//     for the next key or write.
//   - XOFF behind input for which there is no room waits for its turn; Linux
//     since 5.19 looks ahead.
//   - A signal character discards output that the host has not taken. So it is
//     on Linux, but for what has got to the reading end of a pty.
//
// Lock order: Terminal.mu, then waiter.Queue. Options.Tee is called with the
// lock held, Options.Signal without.
package ttyfs
