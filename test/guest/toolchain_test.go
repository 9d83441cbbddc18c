package guest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
)

// C++ programs with the whole of a toolchain's runtime do what they do on Linux,
// and that too wherever they are stopped, saved and woken, in both encodings of
// exceptions.
func TestToolchains(t *testing.T) {
	for _, g := range guests.Toolchains() {
		if !strings.HasPrefix(g.Name, "cxx-") {
			continue // test/threads has them
		}
		t.Run(g.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			defer cancel()
			path, err := guests.Path(ctx, g.Name)
			if guests.IsUnavailable(err) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			everyForm(t, g.Name, b, func(w *world) {
				if got := w.written(1); got != g.Want {
					t.Errorf("got %s", got)
				}
				if got := w.written(2); strings.HasPrefix(g.Name, "cxx-terminate") && got != aborted {
					t.Errorf("stderr: got %q", got)
				}
			})
		})
	}
}

// aborted is how libc++'s own handler describes the exception, of which it finds
// the type's name and asks for what().
const aborted = "libc++abi: terminating due to uncaught exception of type deep::failure<int*>: nobody catches this\n"

// written is what went to a file.
func (w *world) written(fd uint32) string {
	var b strings.Builder
	for _, v := range w.log {
		if v>>8 == fd {
			b.WriteByte(byte(v))
		}
	}
	return b.String()
}
