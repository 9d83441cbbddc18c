package jail

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// probeTimeout bounds a probe's child.
const probeTimeout = 10 * time.Second

// Probe says how far this host would jail a process with policy p, by jailing
// one: command starts a program that calls ProbeChild on its standard input and
// output. p must name no descriptors.
func Probe(p Policy, command func() *exec.Cmd) (Report, error) {
	var in io.WriteCloser
	var out io.ReadCloser
	var pipes error
	cmd, given, err := Start(p, func() *exec.Cmd {
		cmd := command()
		var err error
		if in, err = cmd.StdinPipe(); err != nil {
			pipes = err
		} else if out, err = cmd.StdoutPipe(); err != nil {
			pipes = err
		}
		return cmd
	})
	if pipes != nil {
		err = pipes
	}
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	stop := time.AfterFunc(probeTimeout, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	var answer probeAnswer
	err = json.NewEncoder(in).Encode(Setup{p, given})
	if err == nil {
		err = json.NewDecoder(out).Decode(&answer)
	}
	in.Close()
	if e := cmd.Wait(); err == nil {
		err = e
	}
	if err == nil && answer.Error != "" {
		err = fmt.Errorf("%s", answer.Error)
	}
	if err != nil {
		return answer.Report, fmt.Errorf("probe: %w", err)
	}
	return answer.Report, nil
}

type probeAnswer struct {
	Report Report
	Error  string `json:",omitempty"`
}

// ProbeChild is the other side of Probe. The process must exit afterwards.
func ProbeChild(in io.Reader, out io.Writer) error {
	var s Setup
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	var answer probeAnswer
	r, err := Enter(s.Policy, s.Given)
	answer.Report = r
	if err != nil {
		answer.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(answer)
}

// oneLine joins an error's lines.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
