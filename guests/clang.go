package guests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// What was found of clang-22, for the life of the process.
var (
	llvmMu    sync.Mutex // held while looking, too; nothing else is locked meanwhile but files
	llvmTools *tools
	llvmID    string
	llvmErr   error
)

// clang finds the newer clang that C++ exceptions need, and what it is used with.
func (c *Cache) clang(ctx context.Context) (*tools, string, error) {
	llvmMu.Lock()
	defer llvmMu.Unlock()
	if llvmTools == nil && llvmErr == nil {
		llvmTools, llvmID, llvmErr = c.findClang(ctx)
		if ctx.Err() != nil {
			err := llvmErr
			llvmErr = nil // another caller may have more time
			return llvmTools, llvmID, err
		}
	}
	return llvmTools, llvmID, llvmErr
}

func (c *Cache) findClang(ctx context.Context) (*tools, string, error) {
	t, id, err := c.tryClang(ctx)
	if err == nil {
		return t, id, nil
	}
	why := []string{err.Error()}
	if err := c.apt(ctx, llvmPackages...); err != nil {
		why = append(why, "apt-get: "+err.Error())
	} else if t, id, err = c.tryClang(ctx); err == nil {
		return t, id, nil
	} else {
		why = append(why, "after apt-get: "+err.Error())
	}
	return nil, "", unavailable("no clang %s for wasm32-wasi with libc++ (Debian: apt-get install %s): %s",
		llvm, strings.Join(llvmPackages, " "), strings.Join(why, "; "))
}

func (c *Cache) tryClang(ctx context.Context) (*tools, string, error) {
	path, err := exec.LookPath("clang-" + llvm)
	if err != nil {
		return nil, "", err
	}
	if _, err := exec.LookPath("wasm-ld-" + llvm); err != nil {
		return nil, "", err
	}
	if _, err := os.Stat(filepath.Join(cxxHeaders, "__config_site")); err != nil {
		return nil, "", err
	}
	// The driver of this version calls the target deprecated, under whose name
	// Debian has its libraries.
	return c.tryCC(ctx, []string{path, "--target=wasm32-wasi", "-w"})
}
