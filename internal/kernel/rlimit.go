package kernel

// Resources that processes are limited in, by Linux's numbers (setrlimit(2)); those of
// them that are not named have no limit.
const (
	RlimitCPU        = 0
	RlimitFSize      = 1
	RlimitNProc      = 6
	RlimitNoFile     = 7
	RlimitAS         = 9
	RlimitSigPending = 11

	NRlimits = 16
)

// RlimInfinity is no limit.
const RlimInfinity = ^uint64(0)

// Rlimit is what the process is limited to, as getrlimit(2) tells it. ok is false if
// there is no such resource.
func (g *ThreadGroup) Rlimit(resource uint32) (soft, hard uint64, ok bool) {
	k := g.k
	soft = RlimInfinity
	switch resource {
	case RlimitNoFile:
		return uint64(g.files.Limit()), uint64(g.MaxFiles()), true
	case RlimitFSize:
		if l := k.Rlimits().FileSize; l > 0 {
			soft = uint64(l)
		}
	case RlimitSigPending:
		soft = uint64(k.SigPending())
	case RlimitNProc:
		soft = uint64(k.MaxTasks())
	case RlimitCPU:
		if d := k.CPULimit(); d > 0 {
			soft = uint64(d.Seconds())
		}
	case RlimitAS:
		soft = uint64(k.MemoryLimit())
	}
	return soft, soft, resource < NRlimits
}

// MaxFiles is up to which the process may raise its limit of descriptors.
func (g *ThreadGroup) MaxFiles() int { return max(g.files.Limit(), int(g.k.Rlimits().Files)) }
