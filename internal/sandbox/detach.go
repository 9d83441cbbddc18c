package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/wasm"
)

// ChildCommand is the hidden subcommand that a detached system runs as.
const ChildCommand = "sandbox-child"

// childSetup is what a parent hands to the process of a detached system.
type childSetup struct {
	Store  string
	Config Config
	Info   Info
}

// childReport is its answer once the system runs, or cannot.
type childReport struct {
	Error     string
	CannotRun bool
}

// Descriptors of the child: its setup comes on one, its report goes to the
// next, the last is its entry's lock.
const (
	setupFD  = 3
	reportFD = 4
	lockFD   = 5
)

// Detach starts a system in a process of its own, which outlives this one, and
// waits until it runs. Its output goes to the entry's log. If ctx is done
// before it runs, the system is ended.
func Detach(ctx context.Context, store *Store, c Config, info Info) error {
	e, err := store.Create(c.Name)
	if err != nil {
		return err
	}
	if err := detach(ctx, e, store, c, info); err != nil {
		return errors.Join(err, e.Remove())
	}
	e.Release() // it is the child's now
	return nil
}

func detach(ctx context.Context, e *Entry, store *Store, c Config, info Info) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(e.LogPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	setup, err := json.Marshal(childSetup{store.dir, c, info})
	if err != nil {
		return err
	}
	setupR, setupW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer setupW.Close()
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, setupR.Close())
	}
	defer reportR.Close()
	cmd := exec.Command(self, ChildCommand)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{setupR, reportW, e.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	setupR.Close()
	reportW.Close()
	if err != nil {
		return fmt.Errorf("start the system's process: %w", err)
	}
	_, err = setupW.Write(setup)
	setupW.Close()
	if err == nil {
		err = await(ctx, cmd, reportR, e.LogPath())
	} else {
		err = errors.Join(fmt.Errorf("set the system's process up: %w", err), reap(cmd))
	}
	return err
}

// reap ends a child.
func reap(cmd *exec.Cmd) error {
	_ = cmd.Process.Kill() // it may have gone
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// firstLine is how a log begins: of a child that ended without a report, the
// reason, most likely.
func firstLine(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 300))
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// await reads the child's report.
func await(ctx context.Context, cmd *exec.Cmd, from *os.File, log string) error {
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	var r childReport
	if err := json.NewDecoder(io.LimitReader(from, maxMessage)).Decode(&r); err != nil {
		err := cmd.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the system's process ended before the system ran: %v: %q", err, firstLine(log))
	}
	if r.Error != "" {
		_ = cmd.Wait() // it has said why
		if r.CannotRun {
			return &cannotRunError{&advised{errors.New(r.Error), ""}}
		}
		return &advised{errors.New(r.Error), ""} // it has been advised there
	}
	return cmd.Process.Release()
}

// Child is the process of a detached system. It returns the exit code.
func Child(ctx context.Context) (int, error) {
	unix.CloseOnExec(setupFD)
	unix.CloseOnExec(reportFD)
	unix.CloseOnExec(lockFD)
	report := os.NewFile(reportFD, "report")
	var setup childSetup
	if err := json.NewDecoder(os.NewFile(setupFD, "setup")).Decode(&setup); err != nil {
		return 0, fmt.Errorf("%s is not for users", ChildCommand)
	}
	told := false
	tell := func(r childReport) {
		told = true
		_ = json.NewEncoder(report).Encode(r) // a parent that has gone waits for nothing
		report.Close()
	}
	store := &Store{setup.Store}
	e := store.Adopt(setup.Config.Name, os.NewFile(lockFD, "lock"))
	defer e.Release()
	x, err := RunHere(ctx, e, setup.Config, setup.Info, func() { tell(childReport{}) })
	if err == nil {
		return x.Code, nil
	}
	err = Advise(err)
	if !told {
		tell(childReport{Error: err.Error(), CannotRun: CannotRun(err)})
		return codeFailed, nil
	}
	return codeFailed, errors.Join(err, e.SetExit(Exit{Code: codeFailed, Error: err.Error(), Ended: time.Now()}))
}

// cannotRunError carries over a process boundary that a file is no program.
type cannotRunError struct{ err error }

func (e *cannotRunError) Error() string { return e.err.Error() }
func (e *cannotRunError) Unwrap() error { return e.err }

// CannotRun reports whether err says that a file cannot be run, whoever tries.
func CannotRun(err error) bool {
	var bad *wasm.Error
	var imp *kernel.ImportError
	var cannot *cannotRunError
	if errors.As(err, &bad) || errors.As(err, &imp) || errors.As(err, &cannot) {
		return true
	}
	for _, is := range []error{
		engine.ErrUnsupported, wasm.ErrUnsupported, instrument.ErrUnsupported,
		image.ErrCorrupt, image.ErrVersion, image.ErrUnfinished, image.ErrUnsafe,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// Wait waits until the system's host process has gone and tells how the system
// ended, or until ctx is done.
func (e *Entry) Wait(ctx context.Context) (Exit, error) {
	f, err := os.Open(filepath.Join(e.dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return Exit{}, ErrNotFound // removed meanwhile
	}
	if err != nil {
		return Exit{}, err
	}
	defer f.Close()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if err == nil {
			return e.exitOf(f)
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return Exit{}, fmt.Errorf("lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return Exit{}, fmt.Errorf("it still runs: %w", ctx.Err())
		case <-time.After(waitPoll):
		}
	}
}

// exitOf is Exit, also of a system whose directory has been removed since its
// lock was opened: of one in the foreground.
func (e *Entry) exitOf(lock *os.File) (Exit, error) {
	var x Exit
	if json.NewDecoder(io.LimitReader(lock, maxMessage)).Decode(&x) == nil {
		return x, nil
	}
	return e.Exit()
}

// waitPoll is how often a waiter looks whether a system has ended: flock(2) has
// no way to wait with a deadline.
const waitPoll = 20 * time.Millisecond
