package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// An executor carries out the commands of one script on one host.
type executor struct {
	dir  string // of the suite's modules
	host Host
	line atomic.Int64 // of the command that runs; the deadline reads it

	current slot            // the last module
	named   map[string]slot // modules by their name in the script
}

// A slot is where a module of the script went.
type slot struct {
	inst Instance
	why  error // with inst nil: why there is none
}

// A skipError says why a command was not carried out. It counts as skipped.
type skipError struct{ reason string }

func (e *skipError) Error() string { return e.reason }

func newExecutor(dir string, h Host) *executor {
	none := slot{why: errors.New("no module yet")}
	return &executor{dir: dir, host: h, current: none, named: map[string]slot{}}
}

// setup instantiates the module that all scripts may import.
func (e *executor) setup(ctx context.Context, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	i, err := e.host.Instantiate(ctx, "spectest", b)
	if err != nil {
		return fmt.Errorf("instantiate spectest: %w", err)
	}
	e.host.Register("spectest", i)
	return nil
}

// do carries out one command. A skipError says that it could not.
func (e *executor) do(ctx context.Context, c *command) error {
	switch c.Type {
	case "module":
		return e.module(ctx, c)
	case "register":
		return e.register(c)
	case "action":
		_, err := e.act(ctx, c)
		return err
	case "assert_return":
		got, err := e.act(ctx, c)
		if err != nil {
			return err
		}
		return matchAll(c.Expected, got)
	case "assert_trap", "assert_exhaustion", "assert_exception":
		return e.assertTrap(ctx, c)
	case "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
		return e.assertRefused(ctx, c)
	}
	return fmt.Errorf("unknown command %q", c.Type)
}

// module instantiates a module and makes it the current one.
func (e *executor) module(ctx context.Context, c *command) error {
	i, err := e.instantiate(ctx, c)
	s := slot{inst: i}
	if err != nil {
		s = slot{why: fmt.Errorf("module of line %d: %w", c.Line, err)}
	}
	e.current = s
	if c.Name != "" {
		e.named[c.Name] = s
	}
	return err
}

// instantiate reads the module that c names and hands it to the host.
func (e *executor) instantiate(ctx context.Context, c *command) (Instance, error) {
	b, err := os.ReadFile(filepath.Join(e.dir, c.Filename))
	if err != nil {
		return nil, err
	}
	i, err := e.host.Instantiate(ctx, c.Filename, b)
	if errors.Is(err, ErrUnsupported) {
		return nil, &skipError{err.Error()}
	}
	return i, err
}

// lookup finds a module by its name in the script; "" is the last one.
func (e *executor) lookup(name string) (Instance, error) {
	s := e.current
	if name != "" {
		var ok bool
		if s, ok = e.named[name]; !ok {
			return nil, fmt.Errorf("no module %s", name)
		}
	}
	if s.inst != nil {
		return s.inst, nil
	}
	if skip := (*skipError)(nil); errors.As(s.why, &skip) {
		return nil, &skipError{"on a skipped module: " + skip.reason}
	}
	return nil, s.why
}

func (e *executor) register(c *command) error {
	i, err := e.lookup(c.Name)
	if err != nil {
		return err
	}
	e.host.Register(c.As, i)
	return nil
}

// act carries out the action of c and returns what it gave.
func (e *executor) act(ctx context.Context, c *command) ([]uint64, error) {
	i, err := e.lookup(c.Action.Module)
	if err != nil {
		return nil, err
	}
	switch c.Action.Type {
	case "invoke":
		args, err := encodeAll(c.Action.Args)
		if err != nil {
			return nil, err
		}
		return i.Call(ctx, c.Action.Field, args)
	case "get":
		return i.Global(c.Action.Field)
	}
	return nil, fmt.Errorf("unknown action %q", c.Action.Type)
}

// assertTrap expects the action to fail in the way that the script names.
func (e *executor) assertTrap(ctx context.Context, c *command) error {
	got, err := e.act(ctx, c)
	if skip := (*skipError)(nil); errors.As(err, &skip) {
		return err
	}
	if err == nil {
		return fmt.Errorf("returned %#x, want %q", got, trapText(c))
	}
	return checkTrap(trapText(c), err)
}

// trapText is the specification's text of the failure that c expects.
func trapText(c *command) string {
	if c.Type == "assert_exception" {
		return "uncaught exception"
	}
	return c.Text
}

// assertRefused expects a module not to come into being.
func (e *executor) assertRefused(ctx context.Context, c *command) error {
	if c.ModuleType == "text" {
		return &skipError{"text format"}
	}
	_, err := e.instantiate(ctx, c)
	if skip := (*skipError)(nil); errors.As(err, &skip) {
		return err
	}
	if c.Type != "assert_uninstantiable" {
		if err == nil {
			return fmt.Errorf("accepted, want %q", c.Text)
		}
		return nil
	}
	if c.Text == "out of bounds table access" && err == nil {
		// Other instances may hold functions of this one by now, so wazero
		// lets it live. An engine that reports the trap passes.
		return &skipError{"the engine keeps an instance whose element segment does not fit"}
	}
	if err == nil {
		return fmt.Errorf("instantiated, want %q", c.Text)
	}
	return checkTrap(c.Text, err)
}

// trapTexts are an engine's words for a failure, by the beginning of the
// specification's. wazero has one word for all failures of tables.
var trapTexts = []struct {
	spec   string
	engine []string
}{
	{"expected shared memory", []string{"expected shared memory"}},
	{"out of bounds memory access", []string{"out of bounds memory access"}},
	{"indirect call", []string{"indirect call type mismatch"}},
	{"out of bounds table access", []string{"invalid table access", "out of bounds table access"}},
	{"undefined", []string{"invalid table access", "undefined element"}},
	{"uninitialized", []string{"invalid table access", "uninitialized element"}},
	{"integer overflow", []string{"integer overflow"}},
	{"invalid conversion to integer", []string{"invalid conversion to integer"}},
	{"integer divide by zero", []string{"integer divide by zero"}},
	{"unaligned atomic", []string{"unaligned atomic"}},
	{"unreachable", []string{"unreachable"}},
	{"uncaught exception", []string{"uncaught exception"}},
	{"null exception", []string{"null exception reference", "null reference"}},
	{"null", []string{"null reference"}},
	{"call stack exhausted", []string{"stack overflow", "call stack exhausted"}},
}

// checkTrap reports an error whose text is not one that the specification's
// text stands for.
func checkTrap(spec string, err error) error {
	for _, t := range trapTexts {
		if !strings.HasPrefix(spec, t.spec) {
			continue
		}
		for _, s := range t.engine {
			if strings.Contains(err.Error(), s) {
				return nil
			}
		}
		return fmt.Errorf("failed with %q, want %q", err, t.engine)
	}
	return fmt.Errorf("failed with %q; the runner does not know %q", err, spec)
}
