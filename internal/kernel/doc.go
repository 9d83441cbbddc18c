// Package kernel is what a guest process lives in: tasks, thread groups, stops,
// clocks and the one place where a task waits. It follows Linux's model in
// Linux's words, knows engines only by their interface, and can be saved.
//
// # Tasks
//
// A task is one guest thread. Its code runs on its task goroutine, which is a
// plain loop (task_run.go): look for what is asked of the task, run guest code
// until it exits, traps or unwinds, handle that, begin again. Between two turns
// the task's stack is data.
//
// # Run states
//
//	running   in guest code or in a system call
//	blocked   in Block, the only place where a task waits for something
//	parked    blocked for long (task_park.go): as data alone, at a safepoint
//	stopped   at a safepoint, because of a stop; its state may be read and saved
//	exiting   on its way out
//	dead      its goroutine is gone
//
// # Processes
//
// A thread group is a process: its tasks share memory, files and what is done with
// signals. Fork makes another one from the state of the calling task alone, by the
// same means as a checkpoint: its stack is data, so nothing of the guest's helps. A
// child of Vfork runs on its parent's very thread, which stands until it is given back.
// Exec gives a task another thread, of another program. What has ended is a zombie
// until its parent has waited for it; who loses its parent is the first process's child.
//
// # Stops
//
// A stop keeps a task from running. An external stop is anyone's (a pause, a
// checkpoint, a collection): it is counted, on a task or on the task set, and a
// stop of the set covers tasks that are created while it lasts. Beginning one
// does not wait; WaitStopped does, with a deadline. An internal stop is the
// task's own: it waits for a child that has its thread (VforkStop), or its process is
// stopped by a signal (GroupStop, which the process has for all its tasks). A task runs
// when it has none of either, and the quota of CPU time (cpulimit.go) is not used up.
//
// The quota is no stop: it leaves blocked calls alone, the monotonic clock goes
// on, nothing of it is saved, and to others a task that stands only because of
// it is running. But it is asked for and looked at as stops are: set under
// TaskSet.mu, where the task's request flag is raised after it, and looked at
// under the same lock after the flag is lowered.
//
// # Signals
//
// Who sends a signal needs the receiving process's lock of signals and no other. What
// would end a process that no handler is for ends it at once, and a stop stops it;
// everything else is queued, for a task or the process, and taken by a task between two
// turns of its loop: so handlers run at any safepoint. A handler is a call on a stack of
// its own: what it interrupts is put aside as data, and put back when it returns. A call
// that waits fails with EINTR before that, or is made again after it.
//
// The same is done with stacks by fibers and by marks, which are longjmp's.
//
// # System calls
//
// A system call that must wait calls Block. If the wait is interrupted by a
// stop, the call returns Restart: the task's stack is unwound with the call as
// its pending call, and after the stop, here or in a restored system, the
// kernel makes the call again. What it may not do twice is kept in the task's
// Restart block: the deadline on the monotonic clock, which stands still
// meanwhile, and how many bytes were done.
//
// # Threads
//
// Tasks of a process share its memory. Spawn makes one while others run; a task
// that is made during a stop stands from its first moment. The first task's
// return, and any task's exit or trap, ends the process; another one's return
// ends that task only, and nothing of it is left. What tasks have to run in are
// slots (slots.go), what they wait in for each other is the table of futexes.
//
// # Lock order
//
//	Kernel.mu
//	  started.lock (collect.go)
//	    TaskSet.mu
//	      intervals.mu
//	        signals.mu, of one process
//	          futexTable.mu; programs.mu; those of package vfs, then waiter
//	            Task.mu
//
// The order is in lockorder.go, and checked under -race and -tags invariants.
//
// Task.mu guards the engine's request flag (Interrupt, Clear) and what is asked
// of the task. It may be taken without the others, so interrupting a task never
// waits for the world. Locks of package vfs and waiter are below all of these;
// their callbacks take Task.mu at most. futexTable.mu is below all but these; its
// wake functions take Task.mu at most, too.
package kernel
