package kernel

import "sync"

// A token wakes a task that stands. A signal that comes before the wait is not
// lost, so that it can be given without the lock under which the waiter looked.
type token chan struct{}

func newToken() token { return make(token, 1) }

// Signal has the wait in progress return, or the next one.
func (t token) Signal() {
	select {
	case t <- struct{}{}:
	default:
	}
}

// wait waits for a signal, without the lock that is held.
func (t token) wait(held sync.Locker) {
	held.Unlock()
	<-t
	held.Lock()
}
