package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A starter is a command whose start is measured, from before it is begun until
// its first line is there, and until it has ended.
type starter struct {
	name  string
	argv  []string
	env   []string // more of it
	stdin string
	line  string // what its first line begins with
}

// A timing is of a start. The CPU time is that of the processes that it waited
// for, too; of stasis, whose host process it leaves behind, the command's alone.
type timing struct{ line, end, cpu time.Duration }

// startTimeout bounds each command; compiling CPython comes first.
const startTimeout = 5 * time.Minute

func (s *starter) run() (timing, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin = strings.NewReader(s.stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return timing{}, err
	}
	defer null.Close()
	cmd.ExtraFiles = []*os.File{null} // resultFD of a child of this program
	out, err := cmd.StdoutPipe()
	if err != nil {
		return timing{}, err
	}
	var m timing
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return m, err
	}
	text := bufio.NewReader(out)
	line, rerr := text.ReadString('\n')
	m.line = time.Since(begin)
	_, cerr := io.Copy(io.Discard, text)
	err = cmd.Wait()
	m.end = time.Since(begin)
	m.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err == nil && !strings.HasPrefix(line, s.line) {
		err = fmt.Errorf("its first line is %q", line)
	}
	if err := errors.Join(err, rerr, cerr); err != nil {
		return m, fmt.Errorf("%s: %w: %s", s.name, err, bytes.TrimSpace(errs.Bytes()))
	}
	return m, nil
}

// runStart measures starts: what of them is the operating system's and Go's, what
// is ours, and what the jail costs.
func (b *bench) runStart() error {
	stasis, hello, err := b.buildStarters()
	if err != nil {
		return err
	}
	env := []string{"STASIS_HOME=" + filepath.Join(b.tmp, "home"), "XDG_CACHE_HOME=" + filepath.Join(b.tmp, "xdg")}
	ours := func(name, line, stdin string, args ...string) starter {
		return starter{name: name, argv: append([]string{stasis}, args...), env: env, stdin: stdin, line: line}
	}
	run := func(jail string, program string, args ...string) []string {
		return append([]string{"run", "--rm", "--jail", jail, program}, args...)
	}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"hello", func() error { return b.startHello(hello, ours, run) }},
		{"cpython", func() error { return b.startPython(stasis, env, ours, run) }},
		{"ruby", func() error { return b.startRuby(ours, run) }},
	} {
		if len(b.names) > 0 && !slices.Contains(b.names, part.name) {
			continue
		}
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// ourStarter makes a starter of stasis' arguments, and runArgs those of a run.
type (
	ourStarter func(name, line, stdin string, args ...string) starter
	runArgs    func(jail, program string, args ...string) []string
)

func (b *bench) startHello(hello string, ours ourStarter, run runArgs) error {
	module := filepath.Join(b.tmp, "hello.wasm")
	if err := os.WriteFile(module, helloModule(), 0o644); err != nil {
		return err
	}
	bare, err := b.plainStarter("plain wazero, hello.wasm", "hello", module, "hello")
	if err != nil {
		return err
	}
	return measureStarts("hello.wasm", 5*b.runs, []starter{
		{name: "a hello world in Go", argv: []string{hello}, line: "hello"},
		ours("stasis --version", "stasis", "", "--version"),
		bare,
		ours("stasis run hello.wasm, no jail", "hello", "", run("off", module)...),
		ours("stasis run hello.wasm", "hello", "", run("on", module)...),
	})
}

func (b *bench) startPython(stasis string, env []string, ours ourStarter, run runArgs) error {
	python, err := guests.Path(context.Background(), "cpython")
	if err != nil {
		return err
	}
	args := []string{"-c", "print('hello')"}
	bare, err := b.plainStarter("plain wazero, CPython", "hello", python, append([]string{"python"}, args...)...)
	if err != nil {
		return err
	}
	image := filepath.Join(b.tmp, "python.img")
	if err := savePython(stasis, env, python, image); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := growth("CPython", python); err != nil {
		return err
	}
	return measureStarts("CPython", b.runs, []starter{
		bare,
		ours("stasis run, no jail", "hello", "", run("off", python, args...)...),
		ours("stasis run", "hello", "", run("on", python, args...)...),
		ours("stasis restore, no jail", "woken", "\n", "restore", "--rm", "-i", "--jail", "off", image),
		ours("stasis restore", "woken", "\n", "restore", "--rm", "-i", image),
	})
}

func (b *bench) startRuby(ours ourStarter, run runArgs) error {
	ruby, err := guests.Path(context.Background(), "ruby")
	if err != nil {
		return err
	}
	args := []string{"--disable=gems", "-e", "puts 'hello'"}
	bare, err := b.plainStarter("plain wazero, CRuby", "hello", ruby, append([]string{"ruby"}, args...)...)
	if err != nil {
		return err
	}
	if err := growth("CRuby", ruby); err != nil {
		return err
	}
	return measureStarts("CRuby", b.runs, []starter{
		bare,
		ours("stasis run, no jail", "hello", "", run("off", ruby, args...)...),
		ours("stasis run", "hello", "", run("on", ruby, args...)...),
	})
}

// growth tells by how much the pass makes a module's code larger, which is what a
// start is allowed to cost more.
func growth(name, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	p, err := instrument.New(b, instrument.Options{})
	if err != nil {
		return err
	}
	hot, err := p.Hot()
	if err != nil {
		return err
	}
	m, err := wasm.Decode(hot)
	if err == nil {
		fmt.Printf("\n%s's code: +%.1f %%\n", name, 100*(float64(bodies(m))/float64(bodies(p.Module()))-1))
	}
	return err
}

// measureStarts runs starters in turns and prints their medians; ratios are to the
// first, within a round.
func measureStarts(title string, rounds int, all []starter) error {
	for i := range all { // what is compiled at a first start, and read from a disk
		if _, err := all[i].run(); err != nil {
			return err
		}
	}
	times := make([][3][]time.Duration, len(all))
	ratios := make([][3][]float64, len(all))
	for range rounds {
		var first timing
		for i := range all {
			m, err := all[i].run()
			if err != nil {
				return err
			}
			if i == 0 {
				first = m
			}
			for k, d := range [3][2]time.Duration{{m.line, first.line}, {m.end, first.end}, {m.cpu, first.cpu}} {
				times[i][k] = append(times[i][k], d[0])
				ratios[i][k] = append(ratios[i][k], ratio(d[0], d[1]))
			}
		}
	}
	fmt.Printf("\n| %s, %d rounds%s | to its first line, ms | | to its end, ms | | CPU of the command itself, ms | |\n|---|---|---|---|---|---|---|\n", title, rounds, load())
	for i := range all {
		fmt.Printf("| %s ", all[i].name)
		for k := range times[i] {
			x := medianOf(ratios[i][k])
			fmt.Printf("| %.1f | ×%.2f (%.2f…%.2f) ", float64(median(times[i][k]))/1e6, x.mid, x.lo, x.hi)
		}
		fmt.Println("|")
	}
	return nil
}

// buildStarters builds stasis as a release is, and a hello world in Go.
func (b *bench) buildStarters() (stasis, hello string, err error) {
	stasis, hello = filepath.Join(b.tmp, "stasis"), filepath.Join(b.tmp, "hello")
	source := filepath.Join(b.tmp, "hello.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"os\"\n\nfunc main() { _, _ = os.Stdout.WriteString(\"hello\\n\") }\n"), 0o644); err != nil {
		return "", "", err
	}
	for _, args := range [][]string{{stasis, "github.com/stasis-run/stasis/cmd/stasis"}, {hello, source}} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", args[0], args[1])
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", "", fmt.Errorf("go build: %w: %s", err, text)
		}
	}
	return stasis, hello, nil
}

// plainStarter runs a module on plain wazero, in a child of this program, with
// wazero's own cache. It does no more than wazero's command would; but this
// program is larger than that.
func (b *bench) plainStarter(name, line, module string, args ...string) (starter, error) {
	root := filepath.Join(b.tmp, "empty")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return starter{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return starter{}, err
	}
	spec, err := json.Marshal(childSpec{File: module, Args: args, Root: root, Cache: filepath.Join(b.tmp, "plain"), Whole: true})
	return starter{name: name, argv: []string{self}, env: []string{childVar + "=" + string(spec)}, line: line}, err
}

// savePython makes an image of CPython that prints a line when it is woken and
// can read one.
func savePython(stasis string, env []string, module, image string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	const program = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\nprint('woken', flush=True)"
	cmd := exec.CommandContext(ctx, stasis, "run", "-i", "--name", "python", module, "-c", program)
	cmd.Env = append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		return errors.Join(fmt.Errorf("it prints %q: %w", line, err), cmd.Wait(), errors.New(errs.String()))
	}
	save := exec.CommandContext(ctx, stasis, "checkpoint", "python", "--image-path", image)
	save.Env = cmd.Env
	text, err := save.CombinedOutput()
	if err != nil {
		in.Close() // it then ends
		err = fmt.Errorf("checkpoint: %w: %s", err, text)
	}
	return errors.Join(err, cmd.Wait())
}

// helloModule prints a line and ends.
func helloModule() []byte {
	i32 := wasm.I32
	m := &wasm.Module{
		Types: []wasm.FuncType{
			{},
			{Params: []wasm.ValType{i32, i32, i32, i32}, Results: []wasm.ValType{i32}},
		},
		Imports:  []wasm.Import{{Module: "wasi_snapshot_preview1", Name: "fd_write", Kind: wasm.ExternFunc, Type: 1}},
		Funcs:    []uint32{0},
		Memories: []wasm.Limits{{Min: 1}},
		Exports:  []wasm.Export{{Name: "_start", Kind: wasm.ExternFunc, Index: 1}, {Name: "memory", Kind: wasm.ExternMemory}},
		// fd_write(1, 0, 1, 16): one vector at 0, the number of bytes to 16.
		Code: []wasm.Code{{Body: []byte{0x41, 1, 0x41, 0, 0x41, 1, 0x41, 16, 0x10, 0, 0x1a, 0x0b}}},
	}
	data := []byte{8, 0, 0, 0, 6, 0, 0, 0}
	m.Data = []wasm.Data{{Offset: []byte{0x41, 0, 0x0b}, Bytes: append(data, "hello\n"...)}}
	return wasm.Encode(m)
}
