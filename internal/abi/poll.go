package abi

// EventType is what a subscription waits for and its event tells of.
type EventType uint8

// The event types.
const (
	EventClock EventType = iota
	EventFDRead
	EventFDWrite
)

// SubclockAbstime says that a clock's timeout is a time, not a duration.
const SubclockAbstime uint16 = 1

// EventHangup is the flag of an fd event whose other side has gone.
const EventHangup uint16 = 1

// Event is one result of poll_oneoff.
type Event struct {
	Userdata uint64
	Errno    Errno
	Type     EventType
	NBytes   uint64 // of an fd: how many can be read or written
	Flags    uint16 // of an fd: EventHangup
}

// Put writes e to b, which has EventSize bytes.
func (e *Event) Put(b []byte) {
	clear(b[:EventSize])
	le.PutUint64(b, e.Userdata)
	le.PutUint16(b[8:], uint16(e.Errno))
	b[10] = byte(e.Type)
	le.PutUint64(b[16:], e.NBytes)
	le.PutUint16(b[24:], e.Flags)
}

// Subscription is one thing that poll_oneoff waits for. Its Type may be one
// that there is not.
type Subscription struct {
	Userdata uint64
	Type     EventType

	FD uint32 // of an fd event

	// Of a clock event.
	Clock     ClockID
	Timeout   uint64 // ns
	Precision uint64 // ns
	Flags     uint16 // SubclockAbstime
}

// GetSubscription reads a Subscription from b, which has SubscriptionSize
// bytes.
func GetSubscription(b []byte) Subscription {
	_ = b[SubscriptionSize-1]
	s := Subscription{Userdata: le.Uint64(b), Type: EventType(b[8])}
	s.getUnion(b[16:])
	return s
}

// getUnion reads what depends on the type.
func (s *Subscription) getUnion(b []byte) {
	switch s.Type {
	case EventClock:
		s.Clock = ClockID(le.Uint32(b))
		s.Timeout = le.Uint64(b[8:])
		s.Precision = le.Uint64(b[16:])
		s.Flags = le.Uint16(b[24:])
	case EventFDRead, EventFDWrite:
		s.FD = le.Uint32(b)
	}
}
