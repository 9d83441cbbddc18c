package sandbox

import (
	"fmt"
	"path"
	"runtime"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/version"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/devfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/procfs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// Device numbers of the file systems that every system has.
const (
	devDev  = 1<<20 + 1
	devProc = 1<<20 + 2
)

// pseudo are the mounts that every system has: /dev and /proc. They are made anew
// in a restored one.
func (w *world) pseudo(sys *System) []vfs.Mount {
	w.ptys = ttyfs.NewPtys(ttyfs.PtyOptions{Signal: func(t *ttyfs.Terminal, sig int32) {
		if k := sys.Kernel(); k != nil {
			k.SignalTerminal(t, sig)
		}
	}})
	now := sys.wall()
	return []vfs.Mount{
		{Guest: "/dev", FS: devfs.New(devfs.Options{Time: now, Dev: devDev, Random: sys.random, TTY: sys.controlling, Ptys: w.ptys})},
		{Guest: "/proc", FS: procfs.New(procfs.Options{Time: now, Dev: devProc, Source: processes{sys}, Mounts: w.listed}), ReadOnly: true},
	}
}

// listed are the mounts that /proc/mounts shows.
func (w *world) listed() []vfs.Mount { return w.Namespace.Mounts() }

// random fills b with what guests see of random bytes.
func (s *System) random(b []byte) {
	if k := s.Kernel(); k != nil {
		_ = k.ReadRandom(b) // it does not fail (crypto/rand)
	}
}

// controlling is the terminal that controls a process's session, or nil.
func (s *System) controlling(pid uint32) *ttyfs.Terminal {
	k := s.Kernel()
	if k == nil {
		return nil
	}
	g, ok := k.Tasks().Process(kernel.TaskID(pid))
	if !ok {
		return nil
	}
	t, _ := g.Controlling().(*ttyfs.Terminal)
	return t
}

// processes tell /proc of those of a system. It implements procfs.Source.
type processes struct{ sys *System }

// Pids implements procfs.Source.
func (p processes) Pids() (out []uint32) {
	if k := p.sys.Kernel(); k != nil {
		for _, i := range k.List() {
			out = append(out, uint32(i.ID))
		}
	}
	return out
}

// Files implements procfs.Source.
func (p processes) Files(pid uint32) *vfs.FDTable {
	k := p.sys.Kernel()
	if k == nil {
		return nil
	}
	g, ok := k.Tasks().Process(kernel.TaskID(pid))
	if !ok || g.Exiting() {
		return nil
	}
	return g.Files()
}

// stateLetters are those of proc_pid_stat(5).
var stateLetters = map[kernel.RunState]byte{
	kernel.Running: 'R', kernel.Stopped: 'T', kernel.Dead: 'Z', kernel.Created: 'S', kernel.Blocked: 'S', kernel.Exiting: 'R',
}

// Process implements procfs.Source.
func (p processes) Process(pid uint32) (out procfs.Process, ok bool) {
	k := p.sys.Kernel()
	if k == nil {
		return out, false
	}
	for _, i := range k.List() {
		if uint32(i.ID) != pid {
			continue
		}
		out = procfs.Process{
			PID: pid, PPID: uint32(i.Parent), PGID: uint32(i.Group), SID: uint32(i.Session), Foreground: -1,
			State: stateLetters[i.State], Args: i.Args, Threads: i.Tasks, UserTime: i.CPU,
			Size: uint64(i.Memory), Resident: uint64(i.Memory), Peak: uint64(i.Memory),
		}
		if len(i.Args) > 0 {
			out.Name = path.Base(i.Args[0])
		}
		if g, found := k.Tasks().Process(i.ID); found && i.State != kernel.Dead {
			p.more(g, &out)
		}
		return out, true
	}
	return out, false
}

// more adds what only a process that has not ended can tell.
func (p processes) more(g *kernel.ThreadGroup, out *procfs.Process) {
	out.Env = g.Env()
	if cwd := g.CWD(); cwd != nil {
		out.CWD, _ = cwd.Getcwd()
	}
	if out.Size > 0 {
		out.Maps = []procfs.Map{{End: out.Size, Perm: "rw-p", Name: "[memory]"}}
	}
	if t := g.Controlling(); t != nil {
		out.TTY = 1
		if pgid, err := g.Foreground(t); err == nil {
			out.Foreground = int32(pgid)
		}
	}
	sig := g.Signals()
	out.GroupPending, out.Ignored, out.Caught = uint64(sig.Pending), uint64(sig.Ignored), uint64(sig.Caught)
	if t, ok := p.Task(out.PID, out.PID); ok { // files of a process show its first thread's
		out.Pending, out.Blocked = t.Pending, t.Blocked
	}
	for i := range out.Limits {
		l := &out.Limits[i]
		l.Soft, l.Hard, _ = g.Rlimit(uint32(i))
	}
}

// tasks are the threads of a process, rising.
func (p processes) tasks(pid uint32) (out []procfs.Task) {
	k := p.sys.Kernel()
	if k == nil {
		return nil
	}
	g, ok := k.Tasks().Process(kernel.TaskID(pid))
	if !ok {
		return nil
	}
	for _, t := range g.ListTasks() {
		out = append(out, procfs.Task{
			TID: uint32(t.ID), State: stateLetters[t.State], UserTime: t.CPU, Pending: uint64(t.Pending), Blocked: uint64(t.Blocked),
		})
	}
	if len(out) == 0 { // it had ended before a restore
		out = append(out, procfs.Task{TID: pid, State: 'Z'})
	}
	return out
}

// Tasks implements procfs.Source.
func (p processes) Tasks(pid uint32) (out []uint32) {
	for _, t := range p.tasks(pid) {
		out = append(out, t.TID)
	}
	return out
}

// Task implements procfs.Source.
func (p processes) Task(pid, tid uint32) (procfs.Task, bool) {
	for _, t := range p.tasks(pid) {
		if t.TID == tid {
			return t, true
		}
	}
	return procfs.Task{}, false
}

// System implements procfs.Source.
func (p processes) System() procfs.System {
	k := p.sys.Kernel()
	if k == nil {
		return procfs.System{}
	}
	st, clocks := k.Stats(), k.Clocks()
	limit := uint64(k.MemoryLimit())
	free := limit - min(limit, uint64(st.Memory))
	if b := p.sys.world.memory; b != nil { // files in memory are not free, too
		limit, free = uint64(b.Max()), uint64(b.Left())
	}
	up := clocks.Boot()
	return procfs.System{
		Boot: clocks.Wall() - up, Uptime: up, Idle: max(int64(p.sys.parallelism())*up-st.CPU, 0), UserTime: st.CPU,
		CPUs: p.sys.parallelism(), CPUModel: "WebAssembly on " + runtime.GOARCH,
		Running: st.Tasks[kernel.Running], Tasks: st.Living(), LastPID: uint32(k.Tasks().LastID()),
		MemTotal: limit, MemFree: free, MemAvailable: free,
		Version: fmt.Sprintf("Stasis version %s (WebAssembly) %s", version.Number, time.Unix(0, clocks.Wall()-up).UTC().Format(time.UnixDate)),
	}
}

// shm is the mount of /dev/shm: memory of the system's own (shm_overview(7)).
func shm(o memfs.Options) vfs.Mount {
	o.Bytes, o.Dev = shmBytes, devShm
	return vfs.Mount{Guest: "/dev/shm", FS: memfs.New(o)}
}

const (
	shmBytes = 64 << 20
	devShm   = 1<<20 + 3
)
