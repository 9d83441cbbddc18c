package sandbox

import (
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/fault"
)

func TestStrict(t *testing.T) {
	whole := []Layer{{Name: "seccomp", Held: true}, {Name: "uid", Held: true, Why: "the caller's: 1000"}}
	if err := strict(whole); err != nil {
		t.Error(err)
	}
	err := strict(append(whole, Layer{Name: "userns", Why: "the host refuses namespaces"}))
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "userns: the host refuses namespaces (see: stasis doctor") {
		t.Errorf("%v", err)
	}
}
