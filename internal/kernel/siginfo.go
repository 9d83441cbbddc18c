package kernel

import (
	"math/bits"
	"slices"
)

// A SigInfo says what a signal came of, as siginfo_t of sigaction(2).
type SigInfo struct {
	Signo  int32  `pb:"1"`
	Code   int32  `pb:"2"` // SIUser and so on
	PID    TaskID `pb:"3"` // of the sender, or of the child that SIGCHLD is about
	Value  uint64 `pb:"4"` // of SIQueue
	Status int32  `pb:"5"` // SIGCHLD: exit code, or signal
}

// Values of SigInfo.Code, as Linux has them.
const (
	SIUser   = 0 // kill(2)
	SIKernel = 0x80
	SIQueue  = -1 // sigqueue(3)
	SITimer  = -2
	SITkill  = -6 // tgkill(2)

	CLDExited    = 1 // SIGCHLD: the child has exited
	CLDKilled    = 2 // was killed
	CLDDumped    = 3 // the same, with a core dump
	CLDStopped   = 5
	CLDContinued = 6
)

// sigRTMin is the first signal of which each one sent is queued, in order;
// others are pending or not (signal(7)).
const sigRTMin = 32

// maxQueued is how many real-time signals may be pending for a task, and for a
// process, at a time, unless Rlimits.SigPending is less. There is always room for the
// others, of each of which one is pending at most.
const maxQueued = 1024

// A sigQueue is pending signals.
type sigQueue struct {
	set   SigSet
	infos []SigInfo // in the order of their coming
}

// push adds a signal. A standard one that is pending stays as it is; it reports
// false if there are most real-time ones already.
func (q *sigQueue) push(info SigInfo, most int) bool {
	if info.Signo < sigRTMin && q.set.has(info.Signo) {
		return true
	}
	if info.Signo >= sigRTMin && q.realTime() >= most {
		return false
	}
	q.set |= sigSet(info.Signo)
	q.infos = append(q.infos, info)
	return true
}

// realTime is how many of the signals are real-time ones.
func (q *sigQueue) realTime() int {
	const standard = 1<<(sigRTMin-1) - 1
	return len(q.infos) - bits.OnesCount64(uint64(q.set)&standard)
}

// take removes the first of the signals with the lowest number that is not in
// mask.
func (q *sigQueue) take(mask SigSet) (info SigInfo, ok bool) {
	sig := (q.set &^ mask).lowest()
	if sig == 0 {
		return info, false
	}
	i := slices.IndexFunc(q.infos, func(x SigInfo) bool { return x.Signo == sig })
	info = q.infos[i]
	q.infos = slices.Delete(q.infos, i, i+1)
	if !slices.ContainsFunc(q.infos, func(x SigInfo) bool { return x.Signo == sig }) {
		q.set &^= sigSet(sig)
	}
	return info, true
}

// drop removes all of some signals.
func (q *sigQueue) drop(sigs SigSet) {
	if q.set&sigs == 0 {
		return
	}
	q.set &^= sigs
	q.infos = slices.DeleteFunc(q.infos, func(x SigInfo) bool { return sigs.has(x.Signo) })
}

// restore takes pending signals of a saved system.
func (q *sigQueue) restore(infos []SigInfo) bool {
	for _, x := range infos {
		if x.Signo <= 0 || x.Signo > maxSignal || x.Signo < sigRTMin && q.set.has(x.Signo) || !q.push(x, maxQueued) {
			return false
		}
	}
	return true
}
