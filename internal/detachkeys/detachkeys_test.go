package detachkeys

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]string{
		"":                            "",
		Default:                       "\x10\x11",
		"a":                           "a",
		"a,b,ctrl-c":                  "ab\x03",
		`ctrl-@,ctrl-[,ctrl-\,ctrl-]`: "\x00\x1b\x1c\x1d",
		"ctrl-^,ctrl-_,DEL":           "\x1e\x1f\x7f",
		"ctrl-a,ctrl-z":               "\x01\x1a",
	} {
		k, err := Parse(s)
		if err != nil || string(k.seq) != want {
			t.Errorf("%q: %q, %v, want %q", s, k.seq, err, want)
		}
	}
	for _, s := range []string{",", "a,", "ctrl-", "ctrl-A", "ctrl-ab", "ctrl-1", "ab", "ctrl-p ctrl-q", "alt-a"} {
		if _, err := Parse(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
	const want = `detach keys "a,xy": no such key: "xy"`
	if _, err := Parse("a,xy"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// Each element of in is a read.
func TestScan(t *testing.T) {
	for _, test := range []struct {
		keys     string
		in, pass []string
		detached bool
	}{
		{"", []string{"\x10\x11"}, []string{"\x10\x11"}, false},
		{Default, []string{"hello"}, []string{"hello"}, false},
		{Default, []string{"ab\x10\x11cd"}, []string{"ab"}, true},
		{Default, []string{"ab\x10", "\x11"}, []string{"ab", ""}, true},
		{Default, []string{"ab\x10", "x"}, []string{"ab", "\x10x"}, false},
		{Default, []string{"\x10", "\x10", "\x11"}, []string{"", "\x10", ""}, true},
		{Default, []string{"\x11\x10"}, []string{"\x11"}, false},
		{"a,a,b", []string{"a", "a", "a", "ab"}, []string{"", "", "a", "a"}, true},
		{"a,b,a,c", []string{"aba", "bac"}, []string{"", "ab"}, true},
		{"a,b,a,c", []string{"aba", "x"}, []string{"", "abax"}, false},
		{"q", []string{"xq"}, []string{"x"}, true},
	} {
		k, err := Parse(test.keys)
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range test.in {
			pass, detached := k.Scan([]byte(in))
			if last := i == len(test.in)-1; string(pass) != test.pass[i] || detached != (last && test.detached) {
				t.Errorf("%q, %q: read %d: %q, %v, want %q", test.keys, test.in, i, pass, detached, test.pass[i])
			}
		}
	}
}

// However it is cut into reads, all but the sequence is passed.
func FuzzScan(f *testing.F) {
	f.Add("a,b,a,c", "xababacyz", 2)
	f.Fuzz(func(t *testing.T, keys, typed string, cut int) {
		k, err := Parse(keys)
		if err != nil || len(k.seq) == 0 {
			return
		}
		want, _, detach := strings.Cut(typed, string(k.seq))
		var got []byte
		rest, detached := typed, false
		for rest != "" && !detached {
			n := max(1, min(cut, len(rest)))
			var pass []byte
			pass, detached = k.Scan([]byte(rest[:n]))
			got, rest = append(got, pass...), rest[n:]
		}
		if !detached {
			got = append(got, k.seq[:k.typed]...)
		}
		if string(got) != want || detached != detach {
			t.Errorf("%q of %q: %q, %v, want %q, %v", k.seq, typed, got, detached, want, detach)
		}
	})
}
