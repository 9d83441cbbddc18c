package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/hostterm"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
)

// systemFlags are those by which a caller gives a system of the host, limits it,
// and says how it is started. run, create and restore share them.
type systemFlags struct {
	name        string
	labels      []string
	rm          bool
	detach      bool
	interactive bool
	tty         bool
	keys        string

	dirs   []string
	rootfs string
	tmpfs  []string
	listen []string
	policy string

	memory, cpus     string
	timeout, cpuTime time.Duration
	pids             int64
	ulimits          []string
	logLimit         string
	readOnly         bool
	snapshots        bool
	seed             string
	clock            string

	coredump string

	jail    string
	noCache bool
	stress  string
}

func (g *systemFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.name, "name", "", "name of the system; a random one by default")
	f.StringArrayVarP(&g.labels, "label", "l", nil, "label of the system: KEY=VALUE")
	f.BoolVar(&g.rm, "rm", false, "remove the system when it has ended")
	f.BoolVarP(&g.interactive, "interactive", "i", false, "let the guest read stdin")
	f.BoolVarP(&g.tty, "tty", "t", false, "give the guest a terminal")
	f.VarP((*listValue)(&g.dirs), "volume", "v", "give the guest a directory: HOST:GUEST[:ro], or HOST:GUEST:O to keep what it changes in memory")
	f.Var((*listValue)(&g.dirs), "dir", "the same; GUEST may be left out: HOST[:GUEST][:ro]")
	f.StringVar(&g.rootfs, "rootfs", "", "make a directory the guest's root; it is only read, what the guest changes is in memory and saved")
	f.StringArrayVar(&g.tmpfs, "tmpfs", nil, "give the guest a file system in memory: GUEST[:size=SIZE]")
	f.StringArrayVar(&g.listen, "listen", nil, "give the guest a listening socket: tcp:HOST:PORT")
	f.StringVar(&g.policy, "files", "reopen", "host files that changed since they were saved: reopen, strict or stale")
	f.StringVarP(&g.memory, "memory", "m", "", "limit of the memory of all the guest's processes and of its files in memory together, such as 256m")
	f.StringVar(&g.cpus, "cpus", "", "limit of CPUs, such as 0.5")
	f.Int64Var(&g.pids, "pids-limit", 0, "limit of tasks (processes and their threads) that the guest has at a time; 4096 by default")
	f.StringArrayVar(&g.ulimits, "ulimit", nil, "limit of each process: NAME=SOFT[:HARD] with a NAME of "+strings.Join(spec.UlimitNames, ", "))
	f.DurationVar(&g.timeout, "timeout", 0, "end the guest after this time, such as 30s")
	f.DurationVar(&g.cpuTime, "cpu-time", 0, "end the guest when it has used so much CPU time, such as 10s")
	f.StringVar(&g.logLimit, "log-limit", "", "how much output is kept for logs, such as 10m, or none; 64m by default")
	f.StringVar(&g.clock, "clock", "", "the guest's wall clock: host, fixed:TIME or offset:DURATION")
	f.StringVar(&g.seed, "seed", "", "make the guest's random numbers those of this number")
	f.BoolVar(&g.snapshots, "snapshots", false, "let the program ask to be saved (proc_snapshot): each time it waits, in the foreground until there is an image in the store, else for stasis checkpoint")
	f.StringVar(&g.coredump, "coredump", "", "file to write a core dump to if the guest crashes; empty if it does not")
	addJail(c, &g.jail)
	f.BoolVar(&g.noCache, "no-cache", false, "neither use nor fill the cache of compiled code")
	f.StringVar(&g.stress, "stress", "", "for tests: unwind=N or checkpoint=N, at every N-th safepoint")
}

// A listValue is a list that several flags add to; pflag's own would begin anew
// with each flag.
type listValue []string

func (l *listValue) String() string { return strings.Join(*l, ",") }
func (l *listValue) Type() string   { return "stringArray" }
func (l *listValue) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func addJail(c *cobra.Command, jail *string) {
	c.Flags().StringVar(jail, "jail", "on", "walls around the process: on (as far as the host allows), strict or off")
	complete(c, "jail", "on", "strict", "off")
}

func setJail(jail string) error {
	switch host.Jail = stasis.Jail(jail); host.Jail {
	case stasis.JailOn, stasis.JailStrict, stasis.JailOff:
		return nil
	}
	return fmt.Errorf("jail %q: want on, strict or off", jail)
}

// addStart adds the flags of commands that start the system at once.
func (g *systemFlags) addStart(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&g.detach, "detach", "d", false, "run in the background and print the name")
	f.StringVar(&g.keys, "detach-keys", stasis.DefaultDetachKeys, "keys that leave a system with a terminal running in the background")
}

// options makes of the flags what they say of a system.
func (g *systemFlags) options() (o stasis.Options, err error) {
	o.Name, o.AutoRemove, o.ReadOnly = g.name, g.rm, g.readOnly
	o.TTY, o.Snapshots = g.tty, g.snapshots
	o.Spec.Stdin = g.interactive
	if g.name != "" {
		if err := spec.CheckName(g.name); err != nil {
			return o, err
		}
	}
	if o.Labels, err = parseLabels(g.labels); err != nil {
		return o, err
	}
	if err := g.grants(&o.Spec); err != nil {
		return o, err
	}
	if err := g.limits(&o.Spec); err != nil {
		return o, err
	}
	if g.seed != "" {
		n, err := strconv.ParseUint(g.seed, 0, 64)
		if err != nil {
			return o, fmt.Errorf("seed %q: want a number from 0 to 2^64-1", g.seed)
		}
		o.Seed = &n
	}
	if o.Clock = g.clock; g.clock != "" {
		if err := spec.CheckClock(g.clock); err != nil {
			return o, err
		}
	}
	if g.coredump != "" {
		if o.Coredump, err = filepath.Abs(g.coredump); err != nil {
			return o, err
		}
	}
	if err := setJail(g.jail); err != nil {
		return o, err
	}
	host.NoCache = g.noCache
	return o, parseStress(g.stress, &o.Spec)
}

func (g *systemFlags) grants(s *stasis.Spec) error {
	if g.rootfs != "" {
		dir, err := spec.ParseRootfs(g.rootfs)
		if err != nil {
			return err
		}
		s.Dirs = append(s.Dirs, dir)
	}
	for _, d := range g.dirs {
		dir, err := spec.ParseDir(d)
		if err != nil {
			return err
		}
		s.Dirs = append(s.Dirs, dir)
	}
	for _, t := range g.tmpfs {
		fs, err := spec.ParseTmpfs(t)
		if err != nil {
			return err
		}
		s.Tmpfs = append(s.Tmpfs, fs)
	}
	for _, l := range g.listen {
		if err := spec.CheckListen(l); err != nil {
			return err
		}
	}
	s.Listen = g.listen
	if _, err := hostfs.ParsePolicy(g.policy); err != nil {
		return err
	}
	s.Files = g.policy
	return nil
}

func (g *systemFlags) limits(s *stasis.Spec) (err error) {
	if g.timeout < 0 || g.cpuTime < 0 {
		return fmt.Errorf("timeout %v: want a time such as 30s", min(g.timeout, g.cpuTime))
	}
	if g.pids < 0 || g.pids > spec.MaxPIDs {
		return fmt.Errorf("pids-limit %d: want 1 to %d", g.pids, spec.MaxPIDs)
	}
	s.Timeout, s.CPUTime, s.PIDs = g.timeout, g.cpuTime, g.pids
	for _, l := range g.ulimits {
		u, err := spec.ParseUlimit(l)
		if err != nil {
			return err
		}
		s.Ulimits = append(s.Ulimits, u)
	}
	if s.Memory, err = spec.ParseSize(g.memory); err != nil {
		return err
	}
	if s.CPUs, err = spec.ParseCPUs(g.cpus); err != nil {
		return err
	}
	if g.logLimit == "none" {
		s.LogLimit = -1
		return nil
	}
	s.LogLimit, err = spec.ParseSize(g.logLimit)
	return err
}

// terminal refuses -t without a terminal, and -d with what it makes no sense with.
func (g *systemFlags) terminal() error {
	if g.tty && !g.detach && (g.interactive && !hostterm.IsTerminal(0) || !hostterm.IsTerminal(1)) {
		return errors.New("-t needs a terminal on stdin and stdout (use -i alone to give it a file or pipe)")
	}
	return nil
}

// terminalOf is the same for a saved system, which has a terminal or has none.
func (g *systemFlags) terminalOf(o *stasis.Options) error {
	if o.TTY && !g.detach && (!hostterm.IsTerminal(0) || !hostterm.IsTerminal(1)) {
		return errors.New("the saved system has a terminal: restore it on one, or with -d and attach later")
	}
	g.interactive = g.interactive || o.TTY
	return nil
}

func parseLabels(labels []string) (map[string]string, error) {
	if len(labels) == 0 {
		return nil, nil
	}
	out := make(map[string]string)
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		if k == "" {
			return nil, fmt.Errorf("label %q: want KEY=VALUE", l)
		}
		out[k] = v
	}
	return out, nil
}

// parseStress reads unwind=N or checkpoint=N.
func parseStress(s string, to *stasis.Spec) error {
	if s == "" {
		return nil
	}
	kind, number, _ := strings.Cut(s, "=")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 || n >= 1<<31-1 {
		return fmt.Errorf("stress %q: want unwind=N or checkpoint=N with N of at least 1", s)
	}
	switch kind {
	case "unwind":
		to.StressUnwind = int32(n)
	case "checkpoint":
		to.StressCheckpoint = int32(n)
	default:
		return fmt.Errorf("stress %q: want unwind=N or checkpoint=N", s)
	}
	return nil
}

// programFlags say what a new system runs.
type programFlags struct {
	env      []string
	envFiles []string
	workdir  string
	invoke   string
}

func (p *programFlags) add(c *cobra.Command, g *systemFlags) {
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringArrayVarP(&p.env, "env", "e", nil, "set a variable of the guest's environment: NAME=VALUE, or NAME for the caller's value")
	f.StringArrayVar(&p.envFiles, "env-file", nil, "set the variables that a file names, a line each")
	f.StringVarP(&p.workdir, "workdir", "w", "", "the guest's working directory")
	f.StringVar(&p.invoke, "invoke", "", "call this exported function, with ARGS for arguments, and print its results")
	f.BoolVar(&g.readOnly, "read-only", false, "the guest's root file system cannot be written to")
}

// apply completes a spec; args are the module's file and the guest's arguments.
func (p *programFlags) apply(s *stasis.Spec, args []string) (err error) {
	if s.Module, err = filepath.Abs(args[0]); err != nil {
		return err
	}
	if s.Env, err = p.environment(); err != nil {
		return err
	}
	s.Workdir, s.Invoke = p.workdir, p.invoke
	if p.workdir != "" && !filepath.IsAbs(p.workdir) {
		return fmt.Errorf("working directory %s: want an absolute path of the guest", p.workdir)
	}
	s.Args = append([]string{filepath.Base(args[0])}, args[1:]...)
	if p.invoke != "" {
		s.Args, s.Params = s.Args[:1], args[1:]
	}
	return nil
}

// environment is that of the files, then that of -e.
func (p *programFlags) environment() ([]string, error) {
	var lines []string
	for _, name := range p.envFiles {
		more, err := readEnvFile(name)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return expandEnv(append(lines, p.env...))
}

// readEnvFile reads a file as docker does: a variable a line, '#' begins a comment.
func readEnvFile(name string) (out []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("environment file %s: %w", name, errors.Unwrap(err))
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("environment file %s: %w", name, err)
	}
	return out, nil
}

// expandEnv gives variables without a value the caller's, if that has one. Of
// several of one name, the last counts.
func expandEnv(env []string) (out []string, err error) {
	at := make(map[string]int)
	for _, e := range env {
		name, _, ok := strings.Cut(e, "=")
		if name == "" {
			return nil, fmt.Errorf("environment %q: want NAME=VALUE or NAME", e)
		}
		if !ok {
			value, set := os.LookupEnv(name)
			if !set {
				continue
			}
			e = name + "=" + value
		}
		if i, again := at[name]; again {
			out[i] = e
			continue
		}
		at[name] = len(out)
		out = append(out, e)
	}
	return out, nil
}
