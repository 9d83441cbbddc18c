package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// A finding is a line of doctor.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // nothing runs without it
	Note   string `json:"note,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

func doctorCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Say what this host allows, and what to do about what is missing",
		Long: `Look at the host: whether systems can run here, and how well the processes that
host them can be walled off. The exit code is 125 if something is missing without
which nothing runs.`,
		Example: `  stasis doctor
  stasis doctor --format json`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			all := examine(cmd.Context())
			for i := range all {
				if all[i].OK {
					all[i].Remedy = ""
				}
			}
			if o.table && o.template == nil {
				err = printFindings(all)
			} else {
				err = printRows(cmd, o, os.Stdout, nil, all, nil)
			}
			for _, f := range all {
				if f.Needed && !f.OK && err == nil {
					err = fmt.Errorf("doctor: %s: %s (%s)", f.Check, f.Note, f.Remedy)
				}
			}
			return err
		},
	}
	addFormat(c, &format, formatUsage)
	return c
}

func printFindings(all []finding) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range all {
		state, note := "ok", f.Note
		if !f.OK {
			state = "missing"
			if f.Remedy != "" {
				note += " (" + f.Remedy + ")"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", state, f.Check, note)
	}
	return w.Flush()
}

// examine looks at all there is.
func examine(ctx context.Context) []finding {
	all := []finding{kernelFinding(), programFinding(), stateFinding(), cacheFinding()}
	all = append(all, spaceFindings()...)
	return append(append(all, userNamespaces()), jailFindings(ctx)...)
}

// oldestKernel has all that is needed; later ones have more walls.
const oldestKernel = 5

func kernelFinding() finding {
	var u unix.Utsname
	f := finding{Check: "kernel", Needed: true, Remedy: "run Linux 5.0 or later"}
	if err := unix.Uname(&u); err != nil {
		f.Note = err.Error()
		return f
	}
	release := unix.ByteSliceToString(u.Release[:])
	major, _, _ := strings.Cut(release, ".")
	n, err := strconv.Atoi(major)
	f.OK, f.Note = err == nil && n >= oldestKernel, "Linux "+release
	return f
}

func programFinding() finding {
	f := finding{Check: "program", Needed: true, Remedy: "install stasis, or put it in the PATH"}
	exe, err := host.Program()
	if err == nil {
		err = unix.Access(exe, unix.X_OK)
	}
	if f.OK = err == nil; !f.OK {
		f.Note = err.Error()
		return f
	}
	f.Note = exe
	return f
}

func stateFinding() finding {
	f := finding{Check: "state", Needed: true, Remedy: "set STASIS_HOME to a directory that you may write to"}
	state, run, err := host.Dirs()
	if err != nil {
		f.Note = errors.Unwrap(err).Error()
		return f
	}
	for _, dir := range []string{state, run} {
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			f.Note = fmt.Sprintf("%s: %v", dir, err)
			return f
		}
	}
	f.OK, f.Note = true, state
	if filepath.Dir(run) != state {
		f.Note += ", " + run
	}
	return f
}

func cacheFinding() finding {
	f := finding{Check: "cache", Remedy: "set XDG_CACHE_HOME to a directory that you may write to; programs are compiled at each start until then"}
	if _, err := host.CacheEntries(context.Background()); err != nil {
		f.Note = err.Error()
		return f
	}
	dir := host.CacheDir()
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		f.Note = fmt.Sprintf("%s: %v", dir, err)
		return f
	}
	f.OK, f.Note = true, dir
	return f
}

// userNamespaces are made by who is not root for the other namespaces.
func userNamespaces() finding {
	f := finding{Check: "user namespaces"}
	if os.Getuid() == 0 {
		f.OK, f.Note = true, "not needed by root"
		return f
	}
	for _, k := range []struct{ name, bad, remedy string }{
		{"user/max_user_namespaces", "0", "as root: sysctl user.max_user_namespaces=15000"},
		{"kernel/unprivileged_userns_clone", "0", "as root: sysctl kernel.unprivileged_userns_clone=1"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		b, err := os.ReadFile("/proc/sys/" + k.name)
		if err == nil && strings.TrimSpace(string(b)) == k.bad {
			f.Note, f.Remedy = fmt.Sprintf("/proc/sys/%s is %s", k.name, k.bad), k.remedy
			return f
		}
	}
	f.OK, f.Note = true, "allowed"
	return f
}

// jailFindings are the layers of the jail. Without some, a program runs all the
// same, unless --jail=strict.
func jailFindings(ctx context.Context) (all []finding) {
	layers, err := host.ProbeJail(ctx)
	if err != nil {
		all = append(all, finding{Check: "jail", Note: err.Error(), Remedy: "until then systems are walled off by the engine alone"})
	}
	for _, l := range layers {
		f := finding{Check: "jail: " + l.Name, OK: l.Held, Note: l.Why}
		if !f.OK {
			f.Remedy = layerRemedies[l.Name]
		}
		all = append(all, f)
	}
	return all
}

// layerRemedies say what brings a layer of the jail about.
var layerRemedies = map[string]string{
	"userns":       "allow user namespaces: see the line above",
	"mountns":      "allow user namespaces, or run as root",
	"pidns":        "allow user namespaces, or run as root",
	"netns":        "allow user namespaces, or run as root",
	"ipcns":        "allow user namespaces, or run as root",
	"utsns":        "allow user namespaces, or run as root",
	"root":         "allow user namespaces, or run as root",
	"landlock":     "run Linux 5.13 or later, with landlock among CONFIG_LSM or lsm=",
	"seccomp":      "run a kernel with CONFIG_SECCOMP_FILTER",
	"uid":          "do not run as root",
	"capabilities": "do not run as root",
}

// enoughSpace is what should be free for images and code, in bytes.
const enoughSpace = 1 << 30

func spaceFindings() (all []finding) {
	dirs := []string{host.CacheDir()}
	if state, _, err := host.Dirs(); err == nil {
		dirs = append([]string{state}, dirs...)
	}
	seen := make(map[unix.Fsid]bool)
	for _, dir := range dirs {
		var st unix.Statfs_t
		if dir == "" || unix.Statfs(dir, &st) != nil || seen[st.Fsid] && st.Fsid != (unix.Fsid{}) {
			continue
		}
		seen[st.Fsid] = true
		free := int64(st.Bavail) * st.Bsize
		all = append(all, finding{
			Check: "space", OK: free >= enoughSpace, Note: fmt.Sprintf("%s free in %s", sizeText(free), dir),
			Remedy: "free some: stasis cache prune, stasis image rm",
		})
	}
	return all
}
