package kernel

// The classes of the kernel's locks, in their order (see the package comment). A lock
// of package vfs or waiter comes between those of signals and futexes and that of a
// task, which their callbacks take; none is taken while a task's is held.
type (
	kernelLock    struct{}
	taskSetLock   struct{}
	signalsLock   struct{}
	intervalsLock struct{}
	programsLock  struct{}
	futexLock     struct{}
	taskLock      struct{}
	tickerLock    struct{}
	cpuClockLock  struct{}
	randomLock    struct{}
)

func (kernelLock) Order() int    { return 10 }
func (taskSetLock) Order() int   { return 20 }
func (intervalsLock) Order() int { return 30 }
func (signalsLock) Order() int   { return 40 }
func (programsLock) Order() int  { return 50 }
func (futexLock) Order() int     { return 50 }
func (taskLock) Order() int      { return 60 }
func (tickerLock) Order() int    { return 70 }
func (cpuClockLock) Order() int  { return 70 }
func (randomLock) Order() int    { return 70 }

// NestsBecause implements invariants.Nesting.
func (taskLock) NestsBecause() string {
	return "who lends a thread has its lock taken before that of the one that has it; a thread that is lent is not lent on"
}
