package cli

import (
	"fmt"
	"testing"

	"github.com/stasis-run/stasis"
	"github.com/stasis-run/stasis/internal/spec"
)

// TestParse covers the parsers of flags.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
	}{
		{"", 0}, {"1", 1}, {"64k", 64 << 10}, {"64K", 64 << 10}, {"5b", 5}, {"256m", 256 << 20}, {"4g", 4 << 30},
		{"-1", -1}, {"0", -1}, {"k", -1}, {"1t", -1}, {"99999999999g", -1}, {"9223372036854775807", -1}, {"1.5g", -1}, {" 1", -1},
	} {
		got, err := spec.ParseSize(c.in)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("size %q: %d, want %d (%v)", c.in, got, c.want, err)
		}
	}
	for _, c := range []struct {
		in   string
		want int32
	}{
		{"TERM", 15}, {"sigterm", 15}, {"SIGINT", 2}, {"9", 9}, {"0", 0}, {"64", 64}, {"65", -1}, {"-1", -1}, {"", -1}, {"SIG", -1}, {"foo", -1},
	} {
		got, err := spec.ParseSignal(c.in)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("signal %q: %d, want %d", c.in, got, c.want)
		}
	}
	for s, ok := range map[string]bool{
		"": true, "unwind=1": true, "checkpoint=3": true, "unwind=0": false, "unwind": false, "x=1": false,
		"unwind=-1": false, "unwind=2147483647": false, "checkpoint=1e3": false,
	} {
		if err := parseStress(s, new(stasis.Spec)); (err == nil) != ok {
			t.Errorf("stress %q: %v", s, err)
		}
	}
	for s, ok := range map[string]bool{
		"tcp:127.0.0.1:80": true, "tcp::80": true, "tcp:[::1]:80": true, "tcp:localhost:65535": true,
		"": false, "tcp": false, "tcp:": false, "tcp:80": false, "udp:a:80": false, "tcp:a:0": false, "tcp:a:65536": false, "tcp:a:http": false,
	} {
		if err := spec.CheckListen(s); (err == nil) != ok {
			t.Errorf("listen %q: %v", s, err)
		}
	}
}

// TestEnv: a variable without a value is the caller's, if that has one.
func TestEnv(t *testing.T) {
	t.Setenv("STASIS_TEST_SET", "x=y")
	got, err := expandEnv([]string{"A=", "STASIS_TEST_SET", "STASIS_TEST_UNSET", "B=1=2"})
	if want := "[A= STASIS_TEST_SET=x=y B=1=2]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	if _, err := expandEnv([]string{"=x"}); err == nil {
		t.Error("a variable without a name is taken")
	}
}
