package crossversion

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
)

var corpus = flag.String("corpus", ".", "directory whose v* are restored")

// TestMain keeps Go's collector from starting behind a looping guest.
func TestMain(m *testing.M) {
	flag.Parse()
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// patience is how long a case may take: under an emulator, too.
const patience = 3 * time.Minute

// each calls f with a copy of each case of each version.
func each(t *testing.T, f func(t *testing.T, dir string)) {
	cases, err := filepath.Glob(filepath.Join(*corpus, "v*", "*", caseFile))
	if err != nil || len(cases) < 20 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		from := filepath.Dir(c)
		t.Run(filepath.Base(filepath.Dir(from))+"/"+filepath.Base(from), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "case")
			if err := Copy(dir, from); err != nil {
				t.Fatal(err)
			}
			f(t, dir)
		})
	}
}

// restore wakes a case and compares what it does.
func restore(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, want, err := ReadWake(dir)
	if err != nil {
		t.Fatal(err)
	}
	out, exit, err := w.Restore(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if out != want || exit != w.Exit {
		t.Errorf("%s:\n%q, %s\nwant:\n%q, %s", w.About, out, exit, want, w.Exit)
	}
}

// TestRestore: what was saved goes on as it did when it was saved.
func TestRestore(t *testing.T) { each(t, restore) }

// TestSaveAgain: an old image that is restored and saved is one of ours, which
// goes on in the same way.
func TestSaveAgain(t *testing.T) {
	each(t, func(t *testing.T, dir string) {
		w, _, err := ReadWake(dir)
		if err != nil {
			t.Fatal(err)
		}
		old, again := filepath.Join(dir, imageDir), filepath.Join(dir, "again")
		if err := w.Again(t.Context(), dir, again); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.RemoveAll(old), os.Rename(again, old)); err != nil {
			t.Fatal(err)
		}
		restore(t, dir)
	})
}

// TestVerify: every byte of the corpus is what it was.
func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, dir string) {
		im, st, err := Open(filepath.Join(dir, imageDir))
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		if err := im.Verify(); err != nil {
			t.Error(err)
		}
		if len(st.Kernel.Processes) != im.Config().Processes {
			t.Errorf("%d processes, config.json has %d", len(st.Kernel.Processes), im.Config().Processes)
		}
	})
}

// reseal replaces a config and makes the digest that of the new one.
func reseal(t *testing.T, dir string, config []byte) {
	t.Helper()
	sum := sha256.Sum256(config)
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600),
		os.WriteFile(filepath.Join(dir, "digest"), []byte(hex.EncodeToString(sum[:])+"\n"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// TestConfig: what is new in a config and need not be known is passed over; what
// must be known is refused by its name.
func TestConfig(t *testing.T) {
	each(t, func(t *testing.T, dir string) {
		im := filepath.Join(dir, imageDir)
		js, err := os.ReadFile(filepath.Join(im, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			edit func(config map[string]any)
			want string
			is   error
		}{
			{"new fields", func(c map[string]any) {
				c["colour"] = map[string]any{"of": []int{1}}
				c["modules"].([]any)[0].(map[string]any)["colour"] = 1
				c["memories"].([]any)[0].(map[string]any)["colour"] = nil
			}, "", nil},
			{"version 2", func(c map[string]any) { c["version"] = 2 }, "version 2", image.ErrVersion},
			{"version 0", func(c map[string]any) { c["version"] = 0 }, "version 0", image.ErrVersion},
			{"a new feature", func(c map[string]any) { c["requires"] = []string{"time-travel"} }, "time-travel", image.ErrVersion},
			{"a parent", func(c map[string]any) { c["requires"] = []string{"parent"} }, "parent", image.ErrVersion},
		} {
			config := make(map[string]any)
			d := json.NewDecoder(bytes.NewReader(js))
			d.UseNumber()
			if err := d.Decode(&config); err != nil {
				t.Fatal(err)
			}
			c.edit(config)
			edited, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			reseal(t, im, edited)
			_, err = image.OpenConfig(image.OS, im)
			if !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.what, err, c.want)
			}
			if c.is == nil {
				restore(t, dir)
			}
		}
	})
}

// TestThin: a thin image asks for its module, and one that names none is refused.
func TestThin(t *testing.T) {
	f := openForgery(t, "thin")
	dir := filepath.Join(f.dir, imageDir)
	h := &stasis.Host{Home: t.TempDir(), NoCache: true, Executable: os.Args[0]} // which is not reached
	refused := func(want string) {
		t.Helper()
		for _, iso := range []stasis.Isolation{stasis.InProcess, stasis.Process} {
			_, err := h.Run(t.Context(), stasis.Options{Spec: stasis.Spec{Image: dir}, Isolation: iso})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
	refused("name the module's file with --module FILE")
	js, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := make(map[string]any)
	if err := json.Unmarshal(js, &config); err != nil {
		t.Fatal(err)
	}
	config["modules"] = []any{}
	if js, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	reseal(t, dir, js)
	refused("names no module")
}

// TestComplete: the corpus of this version has each case.
func TestComplete(t *testing.T) {
	for _, c := range Cases {
		if _, err := os.Stat(filepath.Join("v1", c.Name, caseFile)); err != nil {
			t.Errorf("%v: see README.md", err)
		}
	}
}
