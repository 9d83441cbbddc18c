package hostfile

import (
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/waiter"
)

// The bits of poll(2) and of epoll are the same on Linux.

func toEpoll(mask waiter.EventMask) uint32 {
	var ev uint32
	if mask&waiter.In != 0 {
		// A peer that has shut down its writing is an end to read, which
		// EPOLLIN covers: EPOLLRDHUP is left out.
		ev |= unix.EPOLLIN
	}
	if mask&waiter.Out != 0 {
		ev |= unix.EPOLLOUT
	}
	return ev
}

func fromEpoll(ev uint32) waiter.EventMask {
	var mask waiter.EventMask
	if ev&unix.EPOLLIN != 0 {
		mask |= waiter.In
	}
	if ev&unix.EPOLLOUT != 0 {
		mask |= waiter.Out
	}
	if ev&unix.EPOLLHUP != 0 {
		mask |= waiter.Hup
	}
	if ev&unix.EPOLLERR != 0 {
		mask |= waiter.Err
	}
	return mask
}

func toPoll(mask waiter.EventMask) int16 { return int16(toEpoll(mask)) }

// fromPoll also takes POLLNVAL, a descriptor that is not open, as an error.
func fromPoll(ev int16) waiter.EventMask {
	mask := fromEpoll(uint32(uint16(ev)))
	if ev&unix.POLLNVAL != 0 {
		mask |= waiter.Err
	}
	return mask
}
