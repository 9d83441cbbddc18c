package kernel

// sparesInit reports whether a signal leaves the first process alone unless it catches
// it: one that another process of the system has sent, as in a pid namespace of Linux's
// (pid_namespaces(7)). What comes from outside, from the kernel, or from itself has its
// effect.
func (g *ThreadGroup) sparesInit(info SigInfo) bool {
	sent := info.Code <= 0 && info.PID != 0 // SIUser, SIQueue, SITkill, by a process
	return sent && info.PID != g.id && g == g.k.Init()
}
