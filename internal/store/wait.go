package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// waitPoll is how often a waiter looks, after a while, whether a system has ended: a lock cannot
// be waited for with a deadline.
const waitPoll = 10 * time.Millisecond

// Wait waits until the run that goes on now has ended and tells how, also if the
// system is removed or started again meanwhile. With no run under way it tells
// of the last one. fs.ErrNotExist says that it never ran.
func (e *Entry) Wait(ctx context.Context) (Exit, error) {
	lock, err := e.File("lock", os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return Exit{}, ErrNotFound
	}
	if err != nil {
		return Exit{}, err
	}
	defer lock.Close()
	exit, err := e.File("exit", os.O_RDONLY)
	if err != nil {
		return Exit{}, err
	}
	defer exit.Close()
	for {
		if x, err := readExit(exit); err == nil {
			if err := e.waitGone(ctx, lock); err != nil {
				return Exit{}, err
			}
			return x, nil
		}
		if free, err := isFree(lock); err != nil {
			return Exit{}, err
		} else if free {
			if x, err := readExit(exit); err == nil {
				return x, nil
			}
			return unexpected(), nil
		}
		if err := pause(ctx); err != nil {
			return Exit{}, err
		}
	}
}

// lingering is how long a process may take to go after its system has ended.
const lingering = 2 * time.Second

// waitGone waits until the host process of a system that has ended has gone, so
// that what it held is free. Somebody else may have started the system again.
func (e *Entry) waitGone(ctx context.Context, lock *os.File) error {
	for end := time.Now().Add(lingering); time.Now().Before(end); {
		if free, err := isFree(lock); err != nil || free {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("it still runs: %w", ctx.Err())
	case <-time.After(waitPoll):
		return nil
	}
}
