package kernel

import "testing"

// Of real-time signals so many are pending as may be, of others each is once.
func TestSigPending(t *testing.T) {
	var q sigQueue
	most := 2
	push := func(sig int32, want bool) {
		t.Helper()
		if got := q.push(SigInfo{Signo: sig}, most); got != want {
			t.Errorf("signal %d: %v, want %v", sig, got, want)
		}
	}
	push(SIGUSR1, true)
	push(SIGUSR1, true)
	push(SIGTERM, true)
	push(sigRTMin, true)
	push(maxSignal, true)
	push(sigRTMin, false)
	push(SIGUSR2, true)
	if _, ok := q.take(^sigSet(sigRTMin)); !ok {
		t.Error("none is taken")
	}
	push(sigRTMin+1, true)
	push(sigRTMin+1, false)
	most = 0
	q = sigQueue{}
	push(sigRTMin, false)
	push(SIGTERM, true)
	for limit, want := range map[int64]int{0: 0, 7: 7, 1 << 40: maxQueued} {
		if got := New(Options{Rlimits: Rlimits{SigPending: &limit}}).SigPending(); got != want {
			t.Errorf("limit %d: %d may be pending", limit, got)
		}
	}
	if got := New(Options{}).SigPending(); got != maxQueued {
		t.Errorf("without a limit %d may be pending", got)
	}
}
