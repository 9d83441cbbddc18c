package stasis

import (
	"context"
	"path/filepath"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/launch"
)

// CacheEntry is what the cache of compiled code says of one module's code.
type CacheEntry = codecache.Entry

// openCache opens the cache of compiled code for those who ask for it by name.
func (h *Host) openCache() (*codecache.Cache, error) {
	dir := h.CacheDir()
	if dir == "" {
		return nil, fault.Advise(fault.Invalid, errNoCache, "set XDG_CACHE_HOME to a writable place")
	}
	return codecache.Open(dir, h.cacheSize())
}

// Compile compiles a module's file into the cache of compiled code, and reports
// whether it was there already.
func (h *Host) Compile(ctx context.Context, path string) (cached bool, err error) {
	code, cached, err := h.compile(ctx, path)
	if err != nil {
		return false, failed("compile", path, err)
	}
	code.Release()
	return cached, nil
}

// HotForm is what a module's file is rewritten to before it is compiled: a module
// that can be stopped. It is compiled into the cache if it is not there.
func (h *Host) HotForm(ctx context.Context, path string) ([]byte, error) {
	code, _, err := h.compile(ctx, path)
	if err != nil {
		return nil, failed("compile", path, err)
	}
	defer code.Release()
	b, err := code.HotForm()
	if err != nil {
		err = fault.Advise(fault.Corrupt, err, "remove it with: stasis cache prune --all; it is compiled anew")
	}
	return b, failed("compile", path, err)
}

func (h *Host) compile(ctx context.Context, path string) (code *launch.Code, cached bool, err error) {
	f, err := launch.OpenModule(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	c, err := h.openCache()
	if err != nil {
		return nil, false, err
	}
	exe, err := h.executable()
	if err != nil {
		return nil, false, err
	}
	cached = true
	tell := h.stages()
	p := &launch.Plan{Executable: exe, Cache: c, Jail: h.jail(), Stage: func(what string) {
		cached = false
		tell(what)
	}}
	code, err = launch.Fill(ctx, p, f)
	return code, cached, err
}

// CacheEntries lists what is in the cache of compiled code, what was used last
// first.
func (h *Host) CacheEntries(ctx context.Context) ([]CacheEntry, error) {
	c, err := h.openCache()
	if err != nil {
		return nil, failed("cache", "", err)
	}
	all, err := c.List()
	return all, failed("cache", "", err)
}

// PruneCache removes entries, those used longest ago first, until the rest has at
// most limit bytes. What is being loaded this moment stays.
func (h *Host) PruneCache(ctx context.Context, limit int64) (removed []CacheEntry, err error) {
	c, err := h.openCache()
	if err != nil {
		return nil, failed("cache", "", err)
	}
	removed, err = c.Prune(limit)
	return removed, failed("cache", "", err)
}

// VerifyCache reads an entry of the cache and compares it with the digests that
// were noted when it was made.
func (h *Host) VerifyCache(ctx context.Context, e CacheEntry) error {
	c, err := h.openCache()
	if err == nil {
		err = c.Verify(e.Key)
	}
	return failed("verify", filepath.Join(h.CacheDir(), e.Key), err)
}
