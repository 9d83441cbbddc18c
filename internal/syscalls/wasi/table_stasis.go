package wasi

import "github.com/stasis-run/stasis/internal/kernel"

// ModuleStasis is the import module of what neither WASI nor WASIX have a call for.
// Once released its signatures stay; new calls may come. guests/lib/stasis.h is made
// for it, and doc/stasis_1.md describes it.
const ModuleStasis = "stasis_1"

// stasisEntries are its calls. Signals go by Linux's numbers, and pointers to results
// that nobody wants may be null where it is said so.
var stasisEntries = []entry{
	{name: "process_group_get", params: "ii", fn: processGroupGet},
	{name: "process_group_set", params: "ii", fn: processGroupSet},
	{name: "session_get", params: "ii", fn: sessionGet},
	{name: "session_set", params: "i", fn: sessionSet},
	{name: "child_wait", params: "iiii", fn: childWait, saved: savedAgain},
	{name: "signal_action", params: "iii", fn: signalAction},
	{name: "signal_mask", params: "iii", fn: signalMask},
	{name: "signal_pending", params: "i", fn: signalPending},
	{name: "signal_queue", params: "iiI", fn: signalQueue},
	{name: "signal_wait", params: "iiI", fn: signalWait, saved: savedTime, handlers: kernel.AlwaysEnds},
	{name: "signal_suspend", params: "i", fn: signalSuspend, saved: savedAgain, handlers: kernel.AlwaysEnds},
	{name: "signal_info", params: "i", fn: signalInfo},
	{name: "terminal_open", params: "ii", fn: terminalOpen},
	{name: "terminal_control", params: "i", fn: terminalControl},
	{name: "terminal_group_get", params: "ii", fn: terminalGroupGet},
	{name: "terminal_group_set", params: "ii", fn: terminalGroupSet, saved: savedAgain},
	{name: "terminal_attr_get", params: "ii", fn: terminalAttrGet},
	{name: "terminal_attr_set", params: "iii", fn: terminalAttrSet, saved: savedAgain},
	{name: "terminal_size_get", params: "ii", fn: terminalSizeGet},
	{name: "terminal_size_set", params: "ii", fn: terminalSizeSet},
	{name: "file_lock", params: "ii", fn: fileLock, saved: savedAgain},
	{name: "record_lock", params: "iii", fn: recordLock, saved: savedAgain},
	{name: "limit_get", params: "ii", fn: limitGet},
	{name: "limit_set", params: "ii", fn: limitSet, level: kernel.Partial, note: "RLIMIT_NOFILE, the soft limit; the hard one stays"},
	{name: "directory_set", params: "i", fn: directorySet},
}
