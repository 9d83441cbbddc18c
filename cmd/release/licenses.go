package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// A module is one of others whose code is in the binary.
type module struct {
	path, version string
	sum           string   // h1:… of go.sum, "" for Go's own library
	license       string   // SPDX's expression of it
	texts         []notice // what its licence asks to be passed on
}

type notice struct {
	name string
	text []byte
}

const goLibrary = "the Go standard library"

// modules are Go's library and the modules that a binary says it consists of.
func (r *release) modules(ctx context.Context, info *debug.BuildInfo) ([]module, error) {
	goroot, err := r.command(ctx, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	mods := []module{{path: goLibrary, version: info.GoVersion}}
	dirs := []string{goroot}
	args := []string{"list", "-m", "-json"}
	for _, d := range info.Deps {
		args = append(args, d.Path)
		mods = append(mods, module{path: d.Path, version: d.Version, sum: d.Sum})
	}
	out, err := r.command(ctx, "go", args...)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var m struct{ Path, Version, Dir string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if want := mods[len(dirs)]; m.Path != want.path || m.Version != want.version || m.Dir == "" {
			return nil, fmt.Errorf("%s@%s: go list tells of %s@%s in %q", want.path, want.version, m.Path, m.Version, m.Dir)
		}
		dirs = append(dirs, m.Dir)
	}
	for i := range mods {
		if err := mods[i].read(dirs[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", mods[i].path, err)
		}
	}
	return mods, nil
}

var noticeName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|copyright)([-._].*)?$`)

// read reads a module's licence and notices.
func (m *module) read(dir string) error {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	var licenses []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !noticeName.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		m.texts = append(m.texts, notice{e.Name(), text})
		licenses = append(licenses, licensesOf(text)...)
	}
	if len(licenses) == 0 {
		return errors.New("no licence is known of it: read it, and add it to those known")
	}
	slices.Sort(licenses)
	m.license = strings.Join(slices.Compact(licenses), " AND ")
	return nil
}

// known tells licences that Go modules commonly have by words that only they
// have, in lower case and with single spaces.
var known = []struct {
	id    string
	words []string
	not   string // but for these
}{
	{"Apache-2.0", []string{"apache license", "version 2.0", "terms and conditions for use, reproduction, and distribution"}, ""},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0", `1.1. "contributor"`}, ""},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}, ""},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "this list of conditions"}, "neither the name"},
	{"MIT", []string{"permission is hereby granted, free of charge", "the above copyright notice and this permission notice"}, ""},
	{"ISC", []string{"permission to use, copy, modify, and", "with or without fee is hereby granted", "above copyright notice"}, ""},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}, ""},
}

// licensesOf tells which licences are in a text, by SPDX's names.
func licensesOf(text []byte) (ids []string) {
	s := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
	has := func(words string) bool { return strings.Contains(s, words) }
	for _, k := range known {
		if !slices.ContainsFunc(k.words, func(w string) bool { return !has(w) }) && (k.not == "" || !has(k.not)) {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// thirdParty is the file of licences and notices.
func thirdParty(mods []module) []byte {
	var b bytes.Buffer
	b.WriteString("Stasis is under the Apache License 2.0, see LICENSE. bin/stasis has code of others in it:\n\n")
	for _, m := range mods {
		fmt.Fprintf(&b, "    %s %s (%s)\n", m.path, m.version, m.license)
	}
	b.WriteString("\nTheir licences and notices follow.\n")
	for _, m := range mods {
		for _, n := range m.texts {
			fmt.Fprintf(&b, "\n%s\n%s %s: %s\n\n%s\n", strings.Repeat("=", 78), m.path, m.version, n.name, bytes.TrimSpace(n.text))
		}
	}
	return b.Bytes()
}
