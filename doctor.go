package stasis

import (
	"context"

	"github.com/stasis-run/stasis/internal/launch"
)

// ProbeJail says how far this host would wall a system off, by walling off a
// process that does nothing.
func (h *Host) ProbeJail(ctx context.Context) ([]Layer, error) {
	exe, err := h.executable()
	if err != nil {
		return nil, failed("probe", "", err)
	}
	layers, err := launch.Probe(ctx, exe)
	return layers, failed("probe", "", err)
}
