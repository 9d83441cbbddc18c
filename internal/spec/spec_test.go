package spec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/spec"
)

// number has what is refused be -1.
func number[T int32 | int64](n T, err error) T {
	if err != nil {
		return -1
	}
	return n
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"": 0, "1": 1, "64k": 64 << 10, "64K": 64 << 10, "5b": 5, "256m": 256 << 20, "4g": 4 << 30, "1024g": 1 << 40,
		"-1": -1, "0": -1, "k": -1, "1t": -1, "99999999999g": -1, "9223372036854775807": -1, "1.5g": -1, " 1": -1, "1025g": -1, "1kk": -1,
	} {
		if got := number(spec.ParseSize(in)); got != want {
			t.Errorf("size %q: %d, want %d", in, got, want)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for in, want := range map[string]int64{
		"": 0, "1": 1000, "0.5": 500, "2.25": 2250, "0.01": 10, "4096": 4096000, "1e1": 10000,
		"0": -1, "-1": -1, "0.009": -1, "4097": -1, "NaN": -1, "Inf": -1, "-Inf": -1, "x": -1, " 1": -1,
	} {
		if got := number(spec.ParseCPUs(in)); got != want {
			t.Errorf("cpus %q: %d, want %d", in, got, want)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]int32{
		"TERM": 15, "sigterm": 15, "SIGINT": 2, "winch": 28, "9": 9, "0": 0, "64": 64, "65": -1, "-1": -1, "": -1, "SIG": -1, "foo": -1, "SIGSIGINT": -1,
	} {
		if got := number(spec.ParseSignal(in)); got != want {
			t.Errorf("signal %q: %d, want %d", in, got, want)
		}
	}
	for n := int32(1); n < 32; n++ {
		if got, err := spec.ParseSignal(unix.SignalName(unix.Signal(n))); err != nil || got != n {
			t.Errorf("signal %s: %d, want %d: %v", unix.SignalName(unix.Signal(n)), got, n, err)
		}
	}
}

func TestCheckListen(t *testing.T) {
	for s, ok := range map[string]bool{
		"tcp:127.0.0.1:80": true, "tcp::80": true, "tcp:[::1]:80": true, "tcp:localhost:65535": true,
		"": false, "tcp": false, "tcp:": false, "tcp:80": false, "udp:a:80": false, "tcp:a:0": false, "tcp:a:65536": false, "tcp:a:http": false,
	} {
		if err := spec.CheckListen(s); (err == nil) != ok {
			t.Errorf("listen %q: %v", s, err)
		}
	}
}

func TestCheckClock(t *testing.T) {
	for s, ok := range map[string]bool{"host": true, "fixed:2020-01-02T03:04:05Z": true, "offset:-1h": true, "x": false, "fixed:": false, "offset:1": false} {
		if err := spec.CheckClock(s); (err == nil) != ok {
			t.Errorf("clock %q: %v", s, err)
		}
	}
}

func TestParseDir(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	type dir = spec.Dir
	for _, c := range []struct {
		in   string
		want dir // the zero one is an error
	}{
		{"/a", dir{Host: "/a", Guest: "/a"}},
		{"/a:/b", dir{Host: "/a", Guest: "/b"}},
		{"/a:/b:ro", dir{Host: "/a", Guest: "/b", ReadOnly: true}},
		{"/a:/b:rw", dir{Host: "/a", Guest: "/b"}},
		{"/a:/b:shared", dir{Host: "/a", Guest: "/b", Shared: true}},
		{"/a:/b:ro,shared", dir{Host: "/a", Guest: "/b", ReadOnly: true, Shared: true}},
		{"/a:ro", dir{Host: "/a", Guest: "/a", ReadOnly: true}},
		{"/a:b", dir{Host: "/a", Guest: "/b"}},
		{"/a/../b//c/:/d/../e/", dir{Host: "/b/c", Guest: "/e"}},
		{"/a:/../../b", dir{Host: "/a", Guest: "/b"}},
		{"rel:/w", dir{Host: filepath.Join(cwd, "rel"), Guest: "/w"}},
		{"rel", dir{Host: filepath.Join(cwd, "rel"), Guest: "/rel"}},
		{"/a:/ro:ro", dir{Host: "/a", Guest: "/ro", ReadOnly: true}},
		{"/a:/b:O", dir{Host: "/a", Guest: "/b", Overlay: true}},
		{"/a:/:O", dir{Host: "/a", Guest: "/", Overlay: true}},
		{"/a:/x/..:O", dir{Host: "/a", Guest: "/", Overlay: true}},
		{in: ""}, {in: ":"}, {in: ":/b"}, {in: "/a:/"}, {in: "/a:/b/.."}, {in: "."}, {in: "/"}, {in: "/a:/b:ro:ro"},
		{in: "ro:ro:ro:ro"}, {in: "/a:/b:ro,x"},
	} {
		got, err := spec.ParseDir(c.in)
		if err != nil {
			got = dir{}
		}
		if got != c.want {
			t.Errorf("%q: %+v, want %+v (%v)", c.in, got, c.want, err)
		}
	}
}

func TestParseRootfs(t *testing.T) {
	for in, host := range map[string]string{"/a": "/a", "/a:O": "/a", "/a/../b/": "/b", "/a:b": "/a:b", "": "", ":O": ""} {
		got, err := spec.ParseRootfs(in)
		if want := (spec.Dir{Host: host, Guest: "/", Overlay: true}); (err != nil) != (host == "") || err == nil && got != want {
			t.Errorf("%q: %+v, want %+v (%v)", in, got, want, err)
		}
	}
}

func TestParseTmpfs(t *testing.T) {
	for in, want := range map[string]spec.Tmpfs{
		"/tmp": {Guest: "/tmp"}, "tmp": {Guest: "/tmp"}, "/a/../b": {Guest: "/b"}, "/tmp:size=64m": {Guest: "/tmp", Size: 64 << 20}, "/tmp:size=": {Guest: "/tmp"},
		"": {}, "/": {}, "/..": {}, "/tmp:size=x": {}, "/tmp:mode=1": {}, "/tmp:size=1:2": {},
	} {
		got, err := spec.ParseTmpfs(in)
		if err != nil {
			got = spec.Tmpfs{}
		}
		if got != want {
			t.Errorf("%q: %+v, want %+v (%v)", in, got, want, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "A9", "a.b-c_d", strings.Repeat("x", 63)} {
		if err := spec.CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "-a", ".a", "_a", "a/b", "../a", "a b", "a\n", "a\x00", "ä", strings.Repeat("x", 64)} {
		if err := spec.CheckName(name); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	good := spec.Spec{Version: spec.Version, Module: "/a.wasm"}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	good.Dirs = []spec.Dir{{Host: "/a", Guest: "/", Overlay: true}, {Host: "/a", Guest: "/b", Overlay: true}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	good.Dirs = nil
	for name, change := range map[string]func(*spec.Spec){
		"version":  func(s *spec.Spec) { s.Version++ },
		"nothing":  func(s *spec.Spec) { s.Module = "" },
		"relative": func(s *spec.Spec) { s.Module = "a.wasm" },
		"workdir":  func(s *spec.Spec) { s.Workdir = "a" },
		"memory":   func(s *spec.Spec) { s.Memory = -1 },
		"timeout":  func(s *spec.Spec) { s.Timeout = -time.Second },
		"env":      func(s *spec.Spec) { s.Env = []string{"A"} },
		"env name": func(s *spec.Spec) { s.Env = []string{"=a"} },
		"env nul":  func(s *spec.Spec) { s.Env = []string{"A=\x00"} },
		"root":     func(s *spec.Spec) { s.Dirs = []spec.Dir{{Host: "/a", Guest: "/"}} },
		"two roots": func(s *spec.Spec) {
			s.Dirs = []spec.Dir{{Host: "/a", Guest: "/", Overlay: true}, {Host: "/b", Guest: "/", Overlay: true}}
		},
		"read-only overlay": func(s *spec.Spec) {
			s.Dirs = []spec.Dir{{Host: "/a", Guest: "/b", Overlay: true, ReadOnly: true}}
		},
		"host":    func(s *spec.Spec) { s.Dirs = []spec.Dir{{Host: "a", Guest: "/a"}} },
		"unclean": func(s *spec.Spec) { s.Dirs = []spec.Dir{{Host: "/a", Guest: "/a/.."}} },
		"twice":   func(s *spec.Spec) { s.Dirs = []spec.Dir{{Host: "/a", Guest: "/b"}, {Host: "/c", Guest: "/b"}} },
		"twice, of two": func(s *spec.Spec) {
			s.Dirs, s.Tmpfs = []spec.Dir{{Host: "/a", Guest: "/b"}}, []spec.Tmpfs{{Guest: "/b"}}
		},
	} {
		s := good
		change(&s)
		if err := s.Check(); err == nil {
			t.Errorf("%s: %+v is taken", name, s)
		}
	}
}

func TestUlimits(t *testing.T) {
	for text, want := range map[string]spec.Ulimit{
		"nofile=64":     {"nofile", 64, 64},
		"nofile=64:128": {"nofile", 64, 128},
		"fsize=1m":      {"fsize", 1 << 20, 1 << 20},
		"as=65536":      {"as", 65536, 65536},
		"sigpending=0":  {"sigpending", 0, 0},
		"nproc=10":      {"nproc", 10, 10},
	} {
		if got, err := spec.ParseUlimit(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "nofile", "nofile=", "=1", "nofile=0", "nofile=-1", "nofile=1:", "nofile=3:2", "nofile=100000", "sigpending=1025",
		"fsize=", "fsize=0", "fsize=1:2", "as=x", "cpu=1", "nproc=1m",
	} {
		if u, err := spec.ParseUlimit(text); err == nil {
			t.Errorf("%q is %+v", text, u)
		}
	}
	s := spec.Spec{Memory: 100, Ulimits: []spec.Ulimit{{"as", 50, 50}, {"nproc", 7, 7}}}
	if s.MaxMemory() != 50 || s.MaxTasks() != 7 {
		t.Errorf("memory %d, tasks %d", s.MaxMemory(), s.MaxTasks())
	}
	s.PIDs, s.Ulimits = 3, s.Ulimits[1:]
	if s.MaxMemory() != 100 || s.MaxTasks() != 3 {
		t.Errorf("memory %d, tasks %d", s.MaxMemory(), s.MaxTasks())
	}
}
