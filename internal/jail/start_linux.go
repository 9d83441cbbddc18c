package jail

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaceFlags are those that Start gives.
var namespaceFlags = []struct {
	layer Layer
	flag  uintptr
}{
	{UserNS, unix.CLONE_NEWUSER},
	{MountNS, unix.CLONE_NEWNS},
	{PIDNS, unix.CLONE_NEWPID},
	{NetNS, unix.CLONE_NEWNET},
	{IPCNS, unix.CLONE_NEWIPC},
	{UTSNS, unix.CLONE_NEWUTS},
}

// Start starts a process that is to call Enter, with as many namespaces as the
// host allows: directly with CAP_SYS_ADMIN, else in a user namespace that maps the
// caller's own ids to themselves, else with none. It adds to command's
// SysProcAttr. command may be called more than once.
//
// In a pid namespace of its own the process is the first: it sees no parent,
// and a signal without a handler that it sends itself does nothing. A
// parent-death signal works.
func Start(p Policy, command func() *exec.Cmd) (*exec.Cmd, Given, error) {
	var given Given
	var why error
	try := func(user, spaces bool) (*exec.Cmd, error) {
		cmd := command()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = new(syscall.SysProcAttr)
		}
		attr := cmd.SysProcAttr
		given = Given{User: user, DeathSignal: int(attr.Pdeathsig)}
		for _, n := range namespaceFlags {
			if spaces && !p.Skip[n.layer] && (n.layer != UserNS || user) {
				attr.Cloneflags |= n.flag
				given.Namespaces = append(given.Namespaces, n.layer)
			}
		}
		if user {
			attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
			// Without them, exec would leave none to another than root.
			attr.AmbientCaps = append(attr.AmbientCaps, unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP)
		}
		return cmd, cmd.Start()
	}
	wanted := false // any namespace that is a wall
	for _, n := range namespaceFlags[1:] {
		wanted = wanted || !p.Skip[n.layer]
	}
	if caps, err := effective(); wanted && err == nil && caps&(1<<unix.CAP_SYS_ADMIN) != 0 {
		cmd, err := try(false, true)
		if err == nil {
			return cmd, given, nil
		}
		why = fmt.Errorf("directly: %w", err)
	}
	if wanted && !p.Skip[UserNS] {
		cmd, err := try(true, true)
		if err == nil {
			return cmd, given, nil
		}
		why = errors.Join(why, fmt.Errorf("in a user namespace: %w", err))
	}
	cmd, err := try(false, false)
	if err != nil {
		return nil, Given{}, fmt.Errorf("start jailed process: %w", err)
	}
	if why != nil {
		given.Why = fmt.Sprintf("the host refuses namespaces: %s", oneLine(why))
	}
	return cmd, given, nil
}
