//go:build linux

package epoll_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
)

// pair is an eventfd of ours and one of the host, in sets of both.
type pair struct {
	our  *vfs.OpenFile
	host int
}

const (
	oracleFiles = 4
	oracleSets  = 3 // the second may be put in the first, the third in the second
)

// world is the same twice.
type world struct {
	t     *testing.T
	files []pair
	sets  []pair
	log   []string

	// One file in several sets: the host tells the last one added first, which
	// is nothing to rely on, so the order is not compared then.
	shared bool
	member map[pair]int // the one set that it is in, if not shared
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, member: make(map[pair]int)}
	s := epoll.NewSystem(nil)
	for range oracleFiles {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		w.files = append(w.files, pair{eventfd.New(0, false, 0), fd})
	}
	for range oracleSets {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		w.sets = append(w.sets, pair{s.New(), fd})
	}
	return w
}

func (w *world) close() {
	for _, p := range append(w.files, w.sets...) {
		p.our.DecRef()
		unix.Close(p.host)
	}
}

// errnos translates those that are met here.
var errnos = map[error]abi.Errno{nil: abi.OK, unix.EEXIST: abi.EEXIST, unix.ENOENT: abi.ENOENT, unix.EINVAL: abi.EINVAL,
	unix.ELOOP: abi.ELOOP, unix.EAGAIN: abi.EAGAIN}

func (w *world) same(what string, our abi.Errno, host error) {
	w.t.Helper()
	want, ok := errnos[host]
	if !ok {
		w.t.Fatalf("%s: host says %v", what, host)
	}
	w.log = append(w.log, fmt.Sprintf("%s: %v", what, our))
	if our != want {
		w.t.Fatalf("%s: %v, the host says %v; after\n%s", what, our, host, strings.Join(w.log, "\n"))
	}
}

// add counts one up in both.
func (w *world) write(i int, n uint64) {
	b := binary.LittleEndian.AppendUint64(nil, n)
	_, errno := w.files[i].our.Write([][]byte{b})
	_, err := unix.Write(w.files[i].host, b)
	w.same(fmt.Sprintf("write %d", i), errno, err)
}

func (w *world) read(i int) {
	b := make([]byte, 8)
	_, errno := w.files[i].our.Read([][]byte{b})
	_, err := unix.Read(w.files[i].host, b)
	w.same(fmt.Sprintf("read %d", i), errno, err)
}

func (w *world) ctl(set, op, fd int, p pair, ev epoll.Event) {
	if in, ok := w.member[p]; ok && in != set && !w.shared && op == unix.EPOLL_CTL_ADD {
		return
	}
	e, _ := epoll.Of(w.sets[set].our)
	host := unix.EpollEvent{Events: uint32(ev.Events), Fd: int32(ev.Data)}
	var errno abi.Errno
	switch op {
	case unix.EPOLL_CTL_ADD:
		errno = e.Add(vfs.FD(fd), p.our, ev)
	case unix.EPOLL_CTL_MOD:
		errno = e.Mod(vfs.FD(fd), p.our, ev)
	case unix.EPOLL_CTL_DEL:
		errno = e.Del(vfs.FD(fd), p.our)
	}
	err := unix.EpollCtl(w.sets[set].host, op, p.host, &host)
	w.same(fmt.Sprintf("ctl %d of %d in set %d, %#x", op, fd, set, ev.Events), errno, err)
	switch {
	case errno != abi.OK || w.member == nil:
	case op == unix.EPOLL_CTL_ADD:
		w.member[p] = set
	case op == unix.EPOLL_CTL_DEL:
		delete(w.member, p)
	}
}

func (w *world) wait(set, n int) {
	if w.shared {
		n = oracleFiles + oracleSets
	}
	e, _ := epoll.Of(w.sets[set].our)
	got := make([]epoll.Event, n)
	got = got[:e.Wait(got)]
	host := make([]unix.EpollEvent, n)
	k, err := unix.EpollWait(w.sets[set].host, host, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var want []epoll.Event
	for _, ev := range host[:k] {
		want = append(want, epoll.Event{Events: epoll.Events(ev.Events), Data: uint64(ev.Fd)})
	}
	if w.shared {
		for _, l := range [][]epoll.Event{got, want} {
			slices.SortFunc(l, func(a, b epoll.Event) int { return cmp.Compare(a.Data, b.Data) })
		}
	}
	w.log = append(w.log, fmt.Sprintf("wait on %d for %d: %v", set, n, got))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("the host says %v; after\n%s", want, strings.Join(w.log, "\n"))
	}
}

// What the sets tell, and in which order, is what the host's tell.
func TestOracle(t *testing.T) {
	runs := 400
	if testing.Short() {
		runs = 60
	}
	masks := []epoll.Events{epoll.In, epoll.Out, epoll.In | epoll.Out, 0}
	extra := []epoll.Events{0, epoll.Edge, epoll.OneShot, epoll.Edge | epoll.OneShot}
	for run := range runs {
		rnd := rand.New(rand.NewPCG(uint64(run), 3))
		w := newWorld(t)
		w.shared = run%2 == 0
		for range 150 * (run + 1) / runs {
			set := rnd.IntN(oracleSets)
			switch rnd.IntN(8) {
			case 0, 1:
				w.write(rnd.IntN(oracleFiles), rnd.Uint64N(3))
			case 2:
				w.read(rnd.IntN(oracleFiles))
			case 3:
				w.write(rnd.IntN(oracleFiles), eventfd.Max)
			case 4, 5:
				op := []int{unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_MOD, unix.EPOLL_CTL_DEL}[rnd.IntN(4)]
				i := rnd.IntN(oracleFiles + oracleSets)
				p := pair{}
				if i < oracleFiles {
					p = w.files[i]
				} else {
					p = w.sets[i-oracleFiles]
				}
				ev := epoll.Event{Events: masks[rnd.IntN(4)] | extra[rnd.IntN(4)], Data: uint64(i)}
				w.ctl(set, op, i, p, ev)
			default:
				w.wait(set, 1+rnd.IntN(5))
			}
		}
		w.close()
	}
}

// Sets are nested as deep as on the host, whichever end is put together first.
func TestOracleDepth(t *testing.T) {
	for _, down := range []bool{true, false} {
		w := &world{t: t}
		s := epoll.NewSystem(nil)
		for range 10 {
			fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			w.sets = append(w.sets, pair{s.New(), fd})
		}
		for i := range 9 {
			if down {
				i = 8 - i
			}
			w.ctl(i, unix.EPOLL_CTL_ADD, i+1, w.sets[i+1], epoll.Event{Events: epoll.In})
		}
		w.ctl(4, unix.EPOLL_CTL_ADD, 4, w.sets[4], epoll.Event{Events: epoll.In})
		w.close()
	}
}
