package procfs

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/stasis-run/stasis/internal/vfs"
)

const (
	tick     = 10_000_000 // ns: USER_HZ is 100
	pageSize = 64 << 10   // of WebAssembly: what getpagesize tells a guest
	nameSize = 15         // of comm: TASK_COMM_LEN less its NUL
)

// terminated ends each string with NUL.
func terminated(list []string) []byte {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

// comm is the name as Linux cuts it.
func (p *Process) comm() string { return p.Name[:min(len(p.Name), nameSize)] }

// ticks is a time in USER_HZ.
func ticks(ns int64) int64 { return ns / tick }

// number is the thread that is shown.
func (p *Process) number() uint32 { return cmp.Or(p.TID, p.PID) }

func processComm(p *Process) []byte { return []byte(p.comm() + "\n") }

// processStat is /proc/PID/stat. What has no meaning here is 0.
func processStat(p *Process) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d (%s) %c %d %d %d %d %d ", p.number(), p.comm(), p.State, p.PPID, p.PGID, p.SID, p.TTY, p.Foreground)
	fmt.Fprintf(&b, "0 0 0 0 0 ") // flags, faults
	fmt.Fprintf(&b, "%d %d %d %d ", ticks(p.UserTime), ticks(p.SystemTime), ticks(p.ChildrenUserTime), ticks(p.ChildrenSystemTime))
	fmt.Fprintf(&b, "20 0 %d 0 %d ", p.Threads, ticks(p.Start)) // priority, nice, threads, itrealvalue, start
	fmt.Fprintf(&b, "%d %d %d ", p.Size, p.Resident/pageSize, ^uint64(0))
	fmt.Fprintf(&b, "0 0 0 0 0 ") // code and stack
	fmt.Fprintf(&b, "%d %d %d %d ", p.Pending&0x7fffffff, p.Blocked&0x7fffffff, p.Ignored&0x7fffffff, p.Caught&0x7fffffff)
	fmt.Fprintf(&b, "0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n") // wchan … exit_code; SIGCHLD is sent at the end
	return b.Bytes()
}

// processStatm is /proc/PID/statm, in pages.
func processStatm(p *Process) []byte {
	return fmt.Appendf(nil, "%d %d 0 0 0 %d 0\n", p.Size/pageSize, p.Resident/pageSize, p.Size/pageSize)
}

// stateNames are those of /proc/PID/status.
var stateNames = map[byte]string{'R': "running", 'S': "sleeping", 'D': "disk sleep", 'T': "stopped", 't': "tracing stop", 'Z': "zombie", 'X': "dead"}

// processStatus is /proc/PID/status.
func processStatus(p *Process) []byte {
	var b bytes.Buffer
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s:\t"+format+"\n", append([]any{name}, args...)...)
	}
	line("Name", "%s", escape(p.comm(), "\n\\"))
	line("Umask", "0022")
	line("State", "%c (%s)", p.State, stateNames[p.State])
	line("Tgid", "%d", p.PID)
	line("Ngid", "0")
	line("Pid", "%d", p.number())
	line("PPid", "%d", p.PPID)
	line("TracerPid", "0")
	line("Uid", "0\t0\t0\t0")
	line("Gid", "0\t0\t0\t0")
	line("Groups", "")
	line("NSpgid", "%d", p.PGID)
	line("NSsid", "%d", p.SID)
	if p.State != 'Z' {
		line("VmPeak", "%8d kB", p.Size>>10)
		line("VmSize", "%8d kB", p.Size>>10)
		line("VmHWM", "%8d kB", p.Peak>>10)
		line("VmRSS", "%8d kB", p.Resident>>10)
	}
	line("Threads", "%d", p.Threads)
	line("SigPnd", "%016x", p.Pending)
	line("ShdPnd", "%016x", p.GroupPending)
	line("SigBlk", "%016x", p.Blocked)
	line("SigIgn", "%016x", p.Ignored)
	line("SigCgt", "%016x", p.Caught)
	return b.Bytes()
}

// limitNames are those of /proc/PID/limits, by the numbers of resources.
var limitNames = [NLimits]struct{ name, unit string }{
	{"Max cpu time", "seconds"}, {"Max file size", "bytes"}, {"Max data size", "bytes"}, {"Max stack size", "bytes"},
	{"Max core file size", "bytes"}, {"Max resident set", "bytes"}, {"Max processes", "processes"}, {"Max open files", "files"},
	{"Max locked memory", "bytes"}, {"Max address space", "bytes"}, {"Max file locks", "locks"}, {"Max pending signals", "signals"},
	{"Max msgqueue size", "bytes"}, {"Max nice priority", ""}, {"Max realtime priority", ""}, {"Max realtime timeout", "us"},
}

// processLimits is /proc/PID/limits.
func processLimits(p *Process) []byte {
	show := func(v uint64) string {
		if v == Unlimited {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	if p.State == 'Z' {
		return nil // as on Linux
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units")
	for i, l := range limitNames {
		fmt.Fprintf(&b, "%-25s %-20s %-20s ", l.name, show(p.Limits[i].Soft), show(p.Limits[i].Hard))
		if l.unit != "" {
			fmt.Fprintf(&b, "%-10s", l.unit)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// maps is /proc/PID/maps. Names begin in column 73, as Linux has it.
func maps(p *Process) []byte {
	var b bytes.Buffer
	for _, m := range p.Maps {
		line := fmt.Sprintf("%08x-%08x %.4s %08x 00:00 0", m.Start, m.End, m.Perm, m.Offset)
		if m.Name != "" {
			line = fmt.Sprintf("%-72s %s", line, escape(m.Name, "\n"))
		}
		fmt.Fprintln(&b, line)
	}
	return b.Bytes()
}

// escape writes the characters of set in octal, as mount tables and maps do.
func escape(s, set string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) >= 0 {
			fmt.Fprintf(&b, `\%03o`, s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// mounts is /proc/PID/mounts.
func mounts(list []vfs.Mount) []byte {
	var b bytes.Buffer
	for _, m := range list {
		typ, mode := m.FS.Type(), "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		fmt.Fprintf(&b, "%s %s %s %s 0 0\n", typ, escape(m.Guest, " \t\n\\"), typ, mode)
	}
	return b.Bytes()
}

func uptime(s *System) []byte {
	return fmt.Appendf(nil, "%.2f %.2f\n", float64(s.Uptime)/1e9, float64(s.Idle)/1e9)
}

func loadavg(s *System) []byte {
	return fmt.Appendf(nil, "%.2f %.2f %.2f %d/%d %d\n", s.Load[0], s.Load[1], s.Load[2], s.Running, s.Tasks, s.LastPID)
}

func version(s *System) []byte { return []byte(s.Version + "\n") }

// stat is /proc/stat. Of the CPUs only what all did together is known.
func stat(s *System) []byte {
	var b bytes.Buffer
	cpu := func(name string, share int64) {
		fmt.Fprintf(&b, "%s %d 0 %d %d 0 0 0 0 0 0\n", name, ticks(s.UserTime)/share, ticks(s.SystemTime)/share, ticks(s.Idle)/share)
	}
	cpu("cpu ", 1)
	for i := range s.CPUs {
		cpu(fmt.Sprintf("cpu%d", i), int64(s.CPUs))
	}
	fmt.Fprintf(&b, "intr 0\nctxt %d\nbtime %d\nprocesses %d\nprocs_running %d\nprocs_blocked 0\n",
		s.Switches, s.Boot/1e9, s.Forks, s.Running)
	return b.Bytes()
}

func meminfo(s *System) []byte {
	var b bytes.Buffer
	for _, l := range []struct {
		name  string
		bytes uint64
	}{
		{"MemTotal", s.MemTotal}, {"MemFree", s.MemFree}, {"MemAvailable", s.MemAvailable}, {"Buffers", 0}, {"Cached", s.Cached},
		{"SwapCached", 0}, {"SwapTotal", 0}, {"SwapFree", 0},
	} {
		fmt.Fprintf(&b, "%-15s %8d kB\n", l.name+":", l.bytes>>10)
	}
	return b.Bytes()
}

func cpuinfo(s *System) []byte {
	var b bytes.Buffer
	for i := range s.CPUs {
		fmt.Fprintf(&b, "processor\t: %d\nmodel name\t: %s\ncpu cores\t: %d\n\n", i, s.CPUModel, s.CPUs)
	}
	return b.Bytes()
}
