package kernel

import "time"

// MilliCPUs is a number of CPUs, in thousandths.
type MilliCPUs int64

// The quota of CPU time is that of Linux's CFS bandwidth control: what a system
// may use in each period. Its tasks stand while it is used up. What they used
// beyond it, since they are looked at only now and then, they owe to the next
// periods.
const (
	quotaPeriod = 100 * time.Millisecond
	minShare    = time.Millisecond // per period: Linux's smallest quota
)

// maxDebt is the most that is owed, so that a host which stood still does not
// have its guests stand for minutes.
const maxDebt = quotaPeriod

// minTick is the shortest time between two ticks.
const minTick = time.Millisecond

// share is the CPU time in a period, or 0 for no limit.
func (c MilliCPUs) share() time.Duration {
	if c <= 0 {
		return 0
	}
	return max(minShare, time.Duration(c)*quotaPeriod/1000)
}

// A quota is what is left of a period's CPU time. It is the ticker's, which
// ticks one at a time.
type quota struct {
	share time.Duration // 0 for no limit; immutable
	left  time.Duration // a debt if negative
	ends  int64         // the period, in host time
}

// begin begins the first period.
func (q *quota) begin(now int64) {
	q.left, q.ends = q.share, now+int64(quotaPeriod)
}

// charge takes used from what is left, and begins another period if it is time.
// It reports whether the quota is used up.
func (q *quota) charge(now int64, used time.Duration) (over bool) {
	q.left = max(q.left-used, -maxDebt)
	if now >= q.ends {
		periods := 1 + (now-q.ends)/int64(quotaPeriod)
		q.ends += periods * int64(quotaPeriod)
		for ; periods > 0 && q.left < q.share; periods-- {
			q.left = min(q.left+q.share, q.share)
		}
	}
	return q.left <= 0
}

// next is when the quota has to be looked at again at the latest.
func (q *quota) next(now, running int64) time.Duration {
	d := time.Duration(q.ends - now)
	if q.left > 0 && running > 0 {
		d = min(d, ceilDiv(q.left, running))
	}
	return d
}

func ceilDiv(d time.Duration, n int64) time.Duration {
	return (d + time.Duration(n) - 1) / time.Duration(n)
}

// tickBase is how often the ticker looks when nothing is near. With a quota, a
// task that wakes up in the midst of a period must not use much more than that.
func (k *Kernel) tickBase() time.Duration {
	if k.quota.share == 0 {
		return slackPeriod
	}
	return min(max(k.quota.share, tickPeriod), slackPeriod)
}

// firstTick begins the first period, and is when the ticker looks first.
func (k *Kernel) firstTick() time.Duration {
	k.quota.begin(k.clocks.Source().Mono())
	d := k.tickBase()
	if limit := k.opts.CPUTime; limit > 0 {
		for _, t := range k.tasks.All() { // a restored one may have used its time
			d = min(d, limit-time.Duration(t.group.CPUTime()))
		}
	}
	return max(d, minTick)
}

// account is what a tick does: it brings the CPU clocks up to date, ends
// processes that have used their time, stops the tasks when the quota is used
// up and lets them go in the next period. It tells when to look again; idle says
// that there is no need to before a task begins to run.
func (k *Kernel) account() (next time.Duration, idle bool) {
	now := k.clocks.Source().Mono()
	tasks := k.tasks.unordered()
	running := k.advanceClocks(now, tasks)
	next, idle = k.tickBase(), running == 0
	if k.tasks.rotateSlots(now) || running > int64(k.cpus) {
		next = tickPeriod
	}
	if limit := k.opts.CPUTime; limit > 0 {
		next = min(next, limitCPUTime(tasks, limit))
	}
	if k.quota.share > 0 {
		used := int64(0)
		for _, t := range tasks {
			used += t.cpu.charge()
		}
		used += k.tasks.takeUncharged()
		over := k.quota.charge(now, time.Duration(used))
		k.tasks.throttle(over)
		idle = idle && !over
		next = min(next, k.quota.next(now, running))
	}
	return max(next, minTick), idle
}

// limitCPUTime ends the processes among the tasks that run and have used their
// CPU time, and tells when one of the others may have, if none begins to run.
func limitCPUTime(tasks []*Task, limit time.Duration) time.Duration {
	running := make(map[*ThreadGroup]int64)
	for _, t := range tasks {
		if t.cpu.isRunning() {
			running[t.group]++
		}
	}
	next := slackPeriod
	for g, n := range running {
		left := limit - time.Duration(g.CPUTime())
		if left > 0 {
			next = min(next, ceilDiv(left, n))
			continue
		}
		st := endedBy(SIGXCPU)
		st.Limit = LimitCPUTime
		g.exitWith(st)
	}
	return next
}

func (s *TaskSet) takeUncharged() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.uncharged
	s.uncharged = 0
	return n
}

// throttle stops all tasks because the quota is used up, or ends that. Unlike an
// external stop it leaves blocked calls alone, and the clocks: a task that waits
// uses nothing, and if its wait ends meanwhile, it stands at its next safepoint.
func (s *TaskSet) throttle(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.throttled == on {
		return
	}
	s.throttled = on
	if !on {
		s.resumeLocked()
		return
	}
	for _, t := range s.tasks {
		t.nudge()
	}
}
