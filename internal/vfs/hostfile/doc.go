// Package hostfile makes descriptors of the host that were handed in into files
// of a guest: standard streams, terminals, listening and connected sockets. For
// embedding there are streams over an io.Reader and an io.Writer.
//
// Nothing here blocks: what would gives EAGAIN, and a Poller tells when to look
// again. See desc for how that is done without changing descriptors that we
// share with others.
//
// # SIGPIPE
//
// Go lets a write to a broken pipe on descriptors 1 and 2 kill the process. We
// write to duplicates with higher numbers, and through unix.Write, so that this
// does not concern us; yet the host process should call
// signal.Ignore(syscall.SIGPIPE) before it starts a guest, so that its own
// messages do not end it while guests run.
//
// # Saving
//
// A descriptor cannot be saved. What is saved is the name by which it was
// handed in ("stdin", "tcp:127.0.0.1:8080"), and a restore asks its caller for
// what goes by that name now: see Restorers. A connection ends with the process
// that held it: its restored file gives ECONNRESET at once.
//
// Lock order: source.mu, watch.mu, Poller.mu; Reader.mu and Writer.mu; all
// before waiter.Queue.
package hostfile
