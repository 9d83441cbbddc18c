package jail

import (
	"fmt"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock, capabilities, ids and no_new_privs belong to a thread, and a Go
// program has several before its first line runs. What is usual does not do:
//
//   - syscall.AllThreadsSyscall refuses in a program with cgo, which every
//     program with the race detector, and one with net on a machine with a C
//     compiler, is;
//   - libcap's psx, with cgo, reads /proc/PID/task for each call, with the pid
//     that the process has in its own pid namespace, in the /proc of the outer
//     one: it signals others' threads there, and kills the process where there
//     is no /proc;
//   - restricting one thread and executing the binary anew needs the binary, its
//     libraries and execve inside the jail, and another 3 ms.
//
// So it is done as both of the above do it: each thread is interrupted by a
// signal whose handler makes the calls. The handler is a few instructions in
// assembly that use nothing of Go, take any number of calls at once, and
// are the same with cgo and without.

// A call is a system call; its layout is known to the handler.
type call struct {
	nr   uintptr
	args [6]uintptr
}

// maxCalls and maxThreads bound what the handler uses.
const (
	maxCalls   = 128
	maxThreads = 1024
)

// Shared with the handler. Written by broadcast before it signals.
var (
	batch    [maxCalls]call
	batchLen uintptr
	arrived  uint32             // next free index of tids
	done     uint32             // how many threads have written theirs
	refused  uint32             // calls that failed in a handler for want of a right
	failed   uint32             // and for another reason
	tids     [maxThreads]uint32 // of the threads that made the calls
)

// broadcastSignal is the one that glibc and Go keep for the same purpose; no
// thread blocks it for long. Its handler is put back afterwards.
const broadcastSignal = 33

// handlerPC and restorerPC are the addresses of the handler and of what it
// returns to. In threads_linux_*.s.
func handlerPC() uintptr
func restorerPC() uintptr

// sigaction is the kernel's, the same for amd64 and arm64.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	saSiginfo  = 0x4
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
)

func rtSigaction(sig int, act, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// threads lists the process's threads. It is opened while there is a /proc and
// works when that has gone.
type threads struct {
	fd   int
	self string         // the caller's name
	same bool           // names are ids: /proc is of our pid namespace
	seen bool           // rights to be lost can be seen: none were lost before
	ids  map[string]int // of names
}

// openThreads has to be called from the thread that calls broadcast.
func openThreads() (*threads, error) {
	// Not by pid: that is of another namespace than this /proc, perhaps.
	fd, err := unix.Open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("list threads: /proc/self/task: %w", err)
	}
	t := &threads{fd: fd, ids: make(map[string]int)}
	link := make([]byte, 64)
	n, err := unix.Readlink("/proc/thread-self", link) // PID/task/TID
	if err != nil {
		t.close()
		return nil, fmt.Errorf("list threads: %w", err)
	}
	pid, _, _ := strings.Cut(string(link[:n]), "/")
	t.self = path.Base(string(link[:n]))
	t.same = pid == strconv.Itoa(unix.Getpid()) && t.self == strconv.Itoa(unix.Gettid())
	caps, err := effective()
	nnp, err2 := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	t.seen = err == nil && err2 == nil && (caps != 0 || nnp == 0)
	return t, nil
}

func (t *threads) close() { unix.Close(t.fd) }

// names lists the threads as /proc calls them.
func (t *threads) names() ([]string, error) {
	_, err := unix.Seek(t.fd, 0, 0)
	var names []string
	if err == nil {
		names, err = readNames(t.fd)
	}
	if err != nil {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	return names, nil
}

// id is a thread's id as the process sees it itself: the last in the line
// NSpid, which names it in all pid namespaces from /proc's on. It is 0 for one
// that has ended.
func (t *threads) id(name string) (int, error) {
	if id, ok := t.ids[name]; ok {
		return id, nil
	}
	if t.same {
		id, err := strconv.Atoi(name)
		t.ids[name] = id
		return id, err
	}
	status, err := t.status(name)
	if err != nil || status == "" {
		return 0, err
	}
	in := name
	if f := strings.Fields(field(status, "NSpid")); len(f) > 0 {
		in = f[len(f)-1]
	}
	id, err := strconv.Atoi(in)
	if err != nil {
		return 0, fmt.Errorf("thread %s: %w", name, err)
	}
	if id != 0 { // not one that is just ending
		t.ids[name] = id
	}
	return id, nil
}

// status is what /proc says of a thread, "" if that has ended.
func (t *threads) status(name string) (string, error) {
	fd, err := unix.Openat(t.fd, name+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		buf := make([]byte, 16<<10)
		var n int
		if n, err = unix.Read(fd, buf); err == nil {
			return string(buf[:n]), nil
		}
	}
	if err == unix.ENOENT || err == unix.ESRCH {
		return "", nil
	}
	return "", fmt.Errorf("thread %s: status: %w", name, err)
}

// field is the value of a line of a status.
func field(status, name string) string {
	_, rest, _ := strings.Cut(status, "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// rights are what can be seen of a thread's; "" if it has ended.
func (t *threads) rights(name string) (string, error) {
	status, err := t.status(name)
	if err != nil || status == "" {
		return "", err
	}
	var b strings.Builder
	for _, f := range []string{"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"} {
		fmt.Fprintf(&b, "%s %s; ", f, field(status, f))
	}
	return b.String(), nil
}

// verify compares the rights of all threads with the caller's.
func (t *threads) verify() error {
	want, err := t.rights(t.self)
	if err != nil {
		return err
	}
	names, err := t.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		got, err := t.rights(name)
		if err != nil {
			return err
		}
		if got != "" && got != want {
			return fmt.Errorf("threads: %s has %swant %s", name, got, want)
		}
	}
	return nil
}

// broadcastTimeout bounds the wait for threads. They answer in microseconds; on
// a loaded host in milliseconds.
const broadcastTimeout = 10 * time.Second

// broadcast makes calls on all threads but the caller's own, which is the
// caller's to do. An error leaves some threads without: the process must not go on.
//
// Threads may be made meanwhile. One whose maker has made the calls inherits
// their effect; if it makes them once more, it may lack the right to. The
// others are found, since the kernel lists threads in the order in which they were
// made: a listing that shows none without the calls, twice, proves that there is
// none. If one was refused a call, all threads' rights are compared.
//
// Preconditions: the goroutine is locked to its thread. Nothing else uses
// broadcastSignal.
func (t *threads) broadcast(calls []call) error {
	if len(calls) > maxCalls {
		panic("jail: too many calls to broadcast")
	}
	if len(calls) == 0 {
		return nil
	}
	copy(batch[:], calls)
	atomic.StoreUintptr(&batchLen, uintptr(len(calls)))
	for _, count := range []*uint32{&arrived, &done, &refused, &failed} {
		atomic.StoreUint32(count, 0)
	}
	act := sigaction{handlerPC(), saSiginfo | saOnStack | saRestart, 0, ^uint64(0)}
	if pc := restorerPC(); pc != 0 {
		act.restorer, act.flags = pc, act.flags|saRestorer
	}
	var old sigaction
	if err := rtSigaction(broadcastSignal, &act, &old); err != nil {
		return fmt.Errorf("threads: signal handler: %w", err)
	}
	err := t.sweep()
	if e := rtSigaction(broadcastSignal, &old, nil); err == nil && e != nil {
		err = fmt.Errorf("threads: signal handler: %w", e)
	}
	runtime.KeepAlive(calls)
	return err
}

func (t *threads) sweep() error {
	pid, self := unix.Getpid(), unix.Gettid()
	sent := map[int]bool{self: true}
	inherited := make(map[string]bool)
	var want string // the caller's rights, once they are asked for
	deadline := time.Now().Add(broadcastTimeout)
	for clean, round := 0, 0; clean < 2; round++ {
		names, err := t.names()
		if err != nil {
			return err
		}
		clean++
		for _, name := range names {
			if inherited[name] {
				continue
			}
			id, err := t.id(name)
			if err != nil {
				return err
			}
			if id == 0 || sent[id] {
				continue
			}
			if round > 0 && t.seen {
				// Perhaps a thread that has made the calls has made this one.
				// They are made all or none.
				if want == "" {
					if want, err = t.rights(t.self); err != nil {
						return err
					}
				}
				got, err := t.rights(name)
				if err != nil {
					return err
				}
				if inherited[name] = got == want; inherited[name] {
					continue
				}
			}
			clean = 0
			if len(sent) >= maxThreads {
				return fmt.Errorf("threads: more than %d", maxThreads)
			}
			switch err := unix.Tgkill(pid, id, broadcastSignal); err {
			case nil:
				sent[id] = true
			case unix.ESRCH: // it has ended
			default:
				return fmt.Errorf("threads: signal %d: %w", id, err)
			}
		}
		if err := await(pid, self, sent, deadline); err != nil {
			return err
		}
	}
	if n := atomic.LoadUint32(&failed); n > 0 {
		return fmt.Errorf("threads: %d calls failed that had succeeded on one thread", n)
	}
	if atomic.LoadUint32(&refused) == 0 {
		return nil
	}
	return t.verify()
}

// await waits until all threads in sent have made the calls or ended.
func await(pid, self int, sent map[int]bool, deadline time.Time) error {
	for i := 0; ; i++ {
		if int(atomic.LoadUint32(&done)) == len(sent)-1 {
			return nil
		}
		runtime.Gosched()
		if i < 100 {
			continue
		}
		// One of them may have ended without having been heard.
		answered := map[int]bool{self: true}
		for j := range atomic.LoadUint32(&done) {
			answered[int(atomic.LoadUint32(&tids[j]))] = true
		}
		open := 0
		for id := range sent {
			if !answered[id] && unix.Tgkill(pid, id, 0) != unix.ESRCH {
				open++
			}
		}
		if open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("threads: %d do not answer", open)
		}
		time.Sleep(20 * time.Microsecond)
	}
}
