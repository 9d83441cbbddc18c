package threads

import (
	"testing"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
)

// What atomics forbid does not happen, left alone, with all threads stopped
// again and again, and with frames in the interpreter, whose atomic accesses
// meet those of compiled code.
func TestLitmus(t *testing.T) {
	const want = "code 0, signal 0\nstore buffering 0\nmessage passing 0\nindependent reads 0\n"
	rounds := 3000
	if testing.Short() {
		rounds = 600
	}
	for _, tt := range []struct {
		name   string
		o      wazero.Options
		stress int32
		stops  bool
	}{
		{name: "alone"},
		{name: "stopped", stops: true},
		{name: "mixed", o: wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly}, stress: 3},
		{name: "interpreted", o: wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretAlways}, stress: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := load(t, "litmus", tt.o).boot(t, nil, kernel.Stress{Every: tt.stress}, rounds).start(t)
			defer s.close(t)
			for tt.stops && s.moves() {
				stop, _ := s.stop(t)
				stop.End()
			}
			if got := s.wait(t); got != want {
				t.Errorf("got %s", got)
			}
		})
	}
}
