package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/stasis-run/stasis/internal/version"
)

// What an SBOM in SPDX 2.3 consists of, as far as it is written here.
type (
	spdxDocument struct {
		SPDXVersion       string             `json:"spdxVersion"`
		DataLicense       string             `json:"dataLicense"`
		SPDXID            string             `json:"SPDXID"`
		Name              string             `json:"name"`
		DocumentNamespace string             `json:"documentNamespace"`
		CreationInfo      spdxCreation       `json:"creationInfo"`
		Packages          []spdxPackage      `json:"packages"`
		Files             []spdxFile         `json:"files"`
		Relationships     []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		SPDXID           string    `json:"SPDXID"`
		Name             string    `json:"name"`
		VersionInfo      string    `json:"versionInfo"`
		PrimaryPurpose   string    `json:"primaryPackagePurpose"`
		DownloadLocation string    `json:"downloadLocation"`
		FilesAnalyzed    bool      `json:"filesAnalyzed"`
		LicenseConcluded string    `json:"licenseConcluded"`
		LicenseDeclared  string    `json:"licenseDeclared"`
		CopyrightText    string    `json:"copyrightText"`
		SourceInfo       string    `json:"sourceInfo,omitempty"`
		ExternalRefs     []spdxRef `json:"externalRefs"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxFile struct {
		SPDXID           string         `json:"SPDXID"`
		FileName         string         `json:"fileName"`
		FileTypes        []string       `json:"fileTypes"`
		Checksums        []spdxChecksum `json:"checksums"`
		LicenseConcluded string         `json:"licenseConcluded"`
		CopyrightText    string         `json:"copyrightText"`
		Comment          string         `json:"comment,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const noAssertion = "NOASSERTION"

// sbom tells what is in a binary, as the binary itself does.
func (r *release) sbom(arch string, b *built, mods []module) ([]byte, error) {
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.binary)
	our := module{path: modulePath, version: "v" + version.Number, license: strings.Join(licensesOf(license), " AND ")}
	pkg := our.spdx()
	pkg.Name, pkg.VersionInfo, pkg.PrimaryPurpose = "stasis", version.Number, "APPLICATION"
	pkg.DownloadLocation = "git+https://" + modulePath
	if r.commit != "" && !r.dirty {
		pkg.DownloadLocation += "@" + r.commit
	}
	var settings []string
	for _, s := range b.info.Settings {
		settings = append(settings, s.Key+"="+s.Value)
	}
	d := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: name(arch),
		DocumentNamespace: fmt.Sprintf("https://%s/sbom/%s-%x", modulePath, name(arch), sum[:16]),
		CreationInfo:      spdxCreation{r.time.Format(time.RFC3339), []string{"Organization: Stasis", "Tool: stasis-release-" + version.Number}},
		Packages:          []spdxPackage{pkg},
		Files: []spdxFile{{
			SPDXID: "SPDXRef-File-stasis", FileName: "./bin/stasis", FileTypes: []string{"BINARY"},
			Checksums: []spdxChecksum{
				{"SHA1", fmt.Sprintf("%x", sha1.Sum(b.binary))}, // which SPDX demands of files
				{"SHA256", fmt.Sprintf("%x", sum)},
			},
			LicenseConcluded: noAssertion, CopyrightText: noAssertion,
			Comment: "built by " + b.info.GoVersion + " with " + strings.Join(settings, " "),
		}},
		Relationships: []spdxRelationship{
			{"SPDXRef-DOCUMENT", "DESCRIBES", pkg.SPDXID},
			{"SPDXRef-File-stasis", "GENERATED_FROM", pkg.SPDXID},
		},
	}
	for _, m := range mods {
		p := m.spdx()
		d.Packages = append(d.Packages, p)
		d.Relationships = append(d.Relationships, spdxRelationship{pkg.SPDXID, "DEPENDS_ON", p.SPDXID})
	}
	out, err := json.MarshalIndent(&d, "", "  ")
	return append(out, '\n'), err
}

// spdx describes a module.
func (m *module) spdx() spdxPackage {
	p := spdxPackage{
		SPDXID: "SPDXRef-Package-" + spdxID(m.path+"-"+m.version), Name: m.path, VersionInfo: m.version, PrimaryPurpose: "LIBRARY",
		DownloadLocation: "https://proxy.golang.org/" + escapePath(m.path) + "/@v/" + m.version + ".zip",
		LicenseConcluded: m.license, LicenseDeclared: m.license, CopyrightText: noAssertion,
		ExternalRefs: []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.path + "@" + m.version}},
	}
	if m.sum != "" {
		p.SourceInfo = "in go.sum: " + m.sum
	}
	if m.path == goLibrary {
		number := strings.TrimPrefix(m.version, "go")
		p.SPDXID, p.Name, p.VersionInfo = "SPDXRef-Package-go-stdlib", "stdlib", number
		p.DownloadLocation = "https://go.dev/dl/" + m.version + ".src.tar.gz"
		p.SourceInfo = "the toolchain that built it, and its standard library"
		p.ExternalRefs[0].Locator = "pkg:golang/stdlib@" + number
	}
	return p
}

// spdxID is s with nothing in it that an SPDXID cannot have.
func spdxID(s string) string {
	return strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) || c == '.' {
			return c
		}
		return '-'
	}, s)
}

// escapePath writes a module's path as proxies want it: without capitals.
func escapePath(path string) string {
	var b strings.Builder
	for _, c := range path {
		if unicode.IsUpper(c) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
