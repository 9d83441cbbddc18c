// Package epoll has epoll(7): a set of open files as an open file, that tells
// which of them are ready. It belongs to no mount.
//
// A set does not hold the files in it: one whose last fd is closed leaves it. An
// item is on the set's ready list from the event on until it is asked and is
// not ready any more (level-triggered) or has been told once (edge-triggered).
// The list is in the order of events, and what was told goes to its end, so that
// a busy file does not hide others.
//
// Where it is not Linux: EPOLLEXCLUSIVE and EPOLLWAKEUP do nothing; of a file in
// several sets, the set that was first is told first; a pipe tells of an edge for
// writers with each read, not only when it was full.
//
// A set is saved with its items, their order, and which edges were told.
//
// Lock order: Set.mu of an outer set, Set.mu of one in it, the locks of files
// and their waiter.Queue, Set.readyMu, Set.queue. Callbacks of files take the
// last two only. nesting is a leaf.
package epoll
