package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/cli"
	"github.com/stasis-run/stasis/internal/version"
)

var at = time.Unix(1767366245, 0).UTC()

func TestTarballFollowsFromItsFiles(t *testing.T) {
	files := []file{
		{path: "share/man/man1/stasis.1", data: []byte("page")},
		{path: "bin/stasis", mode: 0o755, data: []byte("binary")},
		{path: "LICENSE", data: []byte("licence")},
	}
	var a, b bytes.Buffer
	if err := tarball(&a, "top", at, files); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	if err := tarball(&b, "top", at, files); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same files in another order make another tarball")
	}
	z, err := gzip.NewReader(&a)
	if err != nil {
		t.Fatal(err)
	}
	if !z.ModTime.IsZero() || z.Name != "" {
		t.Errorf("gzip header: time %v, name %q: want none", z.ModTime, z.Name)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		want := int64(0o644)
		if strings.HasSuffix(h.Name, "/") || h.Name == "top/bin/stasis" {
			want = 0o755
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(at) || h.Mode != want {
			t.Errorf("%s: uid %d, gid %d, user %q, group %q, time %v, mode %o", h.Name, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime, h.Mode)
		}
	}
	want := []string{"top/", "top/LICENSE", "top/bin/", "top/bin/stasis", "top/share/", "top/share/man/", "top/share/man/man1/", "top/share/man/man1/stasis.1"}
	if !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
}

func TestEachCommandHasAPage(t *testing.T) {
	files, err := (&release{time: at}).docs()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, f := range files {
		if len(f.data) == 0 {
			t.Errorf("%s is empty", f.path)
		}
		have[f.path] = string(f.data)
	}
	for _, c := range cli.NewRoot().Commands() {
		page, ok := have["share/man/man1/stasis-"+c.Name()+".1"]
		if c.IsAvailableCommand() && (!ok || !strings.Contains(page, roff(c.Short))) {
			t.Errorf("%s: no page, or one without its short text", c.Name())
		}
	}
	for _, path := range []string{"share/bash-completion/completions/stasis", "share/zsh/site-functions/_stasis", "share/fish/vendor_completions.d/stasis.fish"} {
		if have[path] == "" {
			t.Errorf("no %s", path)
		}
	}
	for path, text := range have {
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(path, "share/man") && strings.HasPrefix(line, "'") {
				t.Errorf("%s:%d: begins with a quote, which roff takes for a request: %s", path, i+1, line)
			}
		}
	}
}

func TestRoff(t *testing.T) {
	for in, want := range map[string]string{
		`a-b`: `a\-b`, `.so x`: `\&.so x`, `'x'`: `\(aqx\(aq`, `C:\n`: `C:\en`, `"q"`: `\(dqq\(dq`,
	} {
		if got := roff(in); got != want {
			t.Errorf("roff(%q) = %q, want %q", in, got, want)
		}
	}
	var b bytes.Buffer
	paragraphs(&b, "One.\n\nTwo:\n  as\n  is\nthree.\n")
	if got, want := b.String(), "One.\n.PP\nTwo:\n.EX\n  as\n  is\n.EE\nthree.\n"; got != want {
		t.Errorf("paragraphs: %q, want %q", got, want)
	}
}

func TestLicences(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms, with or without modification,\nare permitted … this list of conditions"
	for text, want := range map[string]string{
		bsd: "BSD-2-Clause",
		bsd + " Neither the name of Google Inc. nor": "BSD-3-Clause",
		"Permission is hereby granted, free of charge, to … The above copyright notice and this\npermission notice shall":                               "MIT",
		"Permission to use, copy, modify, and/or distribute … with or without fee is hereby granted, … above copyright notice":                          "ISC",
		bsd + " Neither the name … " + "Permission is hereby granted, free of charge, to … The above copyright notice and this permission notice shall": "BSD-3-Clause MIT",
		"Additional IP Rights Grant (Patents)": "",
	} {
		if got := strings.Join(licensesOf([]byte(text)), " "); got != want {
			t.Errorf("licence %q, want %q of: %s", got, want, text)
		}
	}
}

// This program's own dependencies stand for stasis's: it has that in it.
func TestWhatIsInABinaryIsTold(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	r := &release{root: root, time: at, commit: "0123"}
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Fatal("no build information")
	}
	mods, err := r.modules(context.Background(), info)
	if err != nil {
		t.Fatal(err)
	}
	if len(mods) != len(info.Deps)+1 || mods[0].license != "BSD-3-Clause" {
		t.Errorf("%d modules, want %d and Go's library: %+v", len(mods), len(info.Deps), mods[0])
	}
	text := string(thirdParty(mods))
	for _, m := range mods {
		if m.license == "" || len(m.texts) == 0 || !strings.Contains(text, string(bytes.TrimSpace(m.texts[0].text))) {
			t.Errorf("%s: its licence is not passed on", m.path)
		}
	}
	if !strings.Contains(text, "wazero v") || !strings.Contains(text, ": NOTICE\n") {
		t.Error("wazero's NOTICE is not passed on")
	}
	doc, err := r.sbom("amd64", &built{binary: []byte("binary"), info: info}, mods)
	if err != nil {
		t.Fatal(err)
	}
	checkSPDX(t, doc, len(mods)+1)
}

// checkSPDX checks what SPDX 2.3 demands of a document.
func checkSPDX(t *testing.T, doc []byte, packages int) {
	t.Helper()
	var d spdxDocument
	if err := json.Unmarshal(doc, &d); err != nil {
		t.Fatal(err)
	}
	if d.SPDXVersion != "SPDX-2.3" || d.DataLicense != "CC0-1.0" || d.SPDXID != "SPDXRef-DOCUMENT" || !strings.HasPrefix(d.DocumentNamespace, "https://") ||
		d.CreationInfo.Created != "2026-01-02T15:04:05Z" || len(d.CreationInfo.Creators) == 0 {
		t.Errorf("head of the document: %+v", d)
	}
	ids := map[string]bool{d.SPDXID: true}
	id := func(s string) {
		if ids[s] || s != "SPDXRef-"+spdxID(strings.TrimPrefix(s, "SPDXRef-")) {
			t.Errorf("id %q: twice, or with letters that are not allowed", s)
		}
		ids[s] = true
	}
	for _, p := range d.Packages {
		id(p.SPDXID)
		if p.Name == "" || p.VersionInfo == "" || p.DownloadLocation == "" || p.LicenseDeclared == "" || len(p.ExternalRefs) != 1 {
			t.Errorf("package %+v: something is missing", p)
		}
	}
	for _, f := range d.Files {
		id(f.SPDXID)
		if len(f.Checksums) == 0 || f.Checksums[0].Algorithm != "SHA1" {
			t.Errorf("file %+v: no SHA1", f)
		}
	}
	for _, r := range d.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("relationship %+v: of what is not there", r)
		}
	}
	if len(d.Packages) != packages || len(d.Relationships) != packages+1 {
		t.Errorf("%d packages and %d relationships, want %d packages", len(d.Packages), len(d.Relationships), packages)
	}
}

func TestTags(t *testing.T) {
	dev := strings.Contains(version.Number, "-")
	for _, c := range []struct {
		tags  []string
		dirty bool
		ok    bool
	}{
		{nil, false, true},
		{nil, true, dev},
		{[]string{"v" + version.Number}, false, true},
		{[]string{"v" + version.Number}, true, false},
		{[]string{"v9.9.9"}, false, false},
	} {
		if err := checkTags(c.tags, c.dirty); (err == nil) != c.ok {
			t.Errorf("tags %q, dirty %v: %v", c.tags, c.dirty, err)
		}
	}
}

// What go install refuses is not in go.mod.
func TestModuleCanBeInstalled(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if f := strings.Fields(line); len(f) > 0 && (f[0] == "replace" || f[0] == "exclude") {
			t.Errorf("go.mod: %s", line)
		}
	}
	got := ownFiles([]string{"go.mod", "a.go", "x/go.mod", "x/b.go", "xy.go"})
	if want := []string{"go.mod", "a.go", "xy.go"}; !slices.Equal(got, want) {
		t.Errorf("files of the module: %q, want %q", got, want)
	}
}
