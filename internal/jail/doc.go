// Package jail takes from a process what it does not need, as far as the host
// allows, and says how far that was.
//
// A system's code is compiled by an engine into machine code and runs in a host
// process of its own. The jail is what an attacker meets who has broken out of
// the engine and runs native code in that process: each layer assumes that the
// others have failed. Nothing here knows anything of systems.
//
// The parent opens all that the child is to have, and starts it in namespaces:
//
//	setupR, setupW, _ := os.Pipe()
//	policy := jail.Policy{
//		Dirs:    []jail.Dir{{FD: 5, Writable: true}}, // numbers in the child
//		Read:    []string{cacheDir},
//		Keep:    []int{3, 4},
//		Sockets: true,
//	}
//	cmd, given, err := jail.Start(policy, func() *exec.Cmd { // called again if namespaces are refused
//		cmd := exec.Command(self, "sandbox-child")
//		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
//		cmd.ExtraFiles = []*os.File{setupR, listener, dir} // become 3, 4, 5
//		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Start adds to it
//		return cmd
//	})
//	json.NewEncoder(setupW).Encode(jail.Setup{Policy: policy, Given: given})
//
// The child enters the jail before it looks at anything that others wrote, a
// module or an image, and starts nothing before:
//
//	var setup jail.Setup
//	json.NewDecoder(os.NewFile(3, "setup")).Decode(&setup)
//	null, _ := os.Open(os.DevNull) // there is no /dev in the jail
//	report, err := jail.Enter(setup.Policy, setup.Given)
//	if err != nil {
//		os.Exit(125) // in an unknown state: it must not go on
//	}
//	if strict && len(report.Missing()) > 0 { … }
//	listener, _ := net.FileListener(os.NewFile(4, "control"))
//
// A compile helper is the same with Policy{Write: []string{outDir}, Keep: []int{3}},
// and Drop if outDir is open to nobody: no sockets, files made below outDir only.
//
// After Enter, there is no /proc, /dev, /etc or time zone data, no socket, no
// other process and no new descriptor but from files in what was granted and
// from accepted connections.
//
// Not every layer is the process's: landlock, capabilities and ids belong to a
// thread, and Go has several by then; see threads_linux.go.
package jail
