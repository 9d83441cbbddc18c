// Package oci turns images into OCI image layouts and back, so that any
// registry can hold them and any tool for registries can move them.
//
// A layout is a directory, or a tar of one, with a single manifest. Its config
// is the image's config.json, byte for byte: the config's digest is the image's
// root, and so an image that went through a registry is the same image. Each
// other file of the image is a layer, named by the annotation
// org.opencontainers.image.title, all compressed by zstd:
//
//	state.zst, module-<sha256>.wasm.zst, pagemap-<i>.zst   the file
//	pages-<i>.zst        the stored pages of memory i: for each entry of the page
//	                     map a frame of its own, one after another; left out if
//	                     there is none
//	pages-<i>.index.zst  where these frames are, see [encodeFrames]
//
// With the index, a reader can fetch single chunks.
package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/image"
)

// Media types of what is not OCI's.
const (
	ArtifactType   = "application/vnd.stasis.image.v1"
	ConfigType     = "application/vnd.stasis.image.config.v1+json"
	StateType      = "application/vnd.stasis.image.state.v1+zstd"
	ModuleType     = "application/vnd.stasis.image.module.v1+zstd"
	PageMapType    = "application/vnd.stasis.image.pagemap.v1+zstd"
	PagesType      = "application/vnd.stasis.image.pages.v1+zstd"
	PagesIndexType = "application/vnd.stasis.image.pages.index.v1+zstd"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"

	titleKey   = "org.opencontainers.image.title"
	createdKey = "org.opencontainers.image.created"
	tagKey     = "org.opencontainers.image.ref.name"
)

// Names in a layout.
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	blobsDir   = "blobs"
	sha256Dir  = "blobs/sha256"

	layoutText = `{"imageLayoutVersion":"1.0.0"}`
)

// Bounds, looked at before anything is allocated.
const (
	maxJSON   = 4 << 20 // bytes of index.json and of a manifest
	maxLayers = 2048    // more than an image has files
	maxWindow = 8 << 20 // bytes that a zstd frame may refer back to
)

// maxCompressed bounds the compressed form of n bytes: more than any encoder
// makes of them.
func maxCompressed(n int64) int64 { return n + n/64 + 4096 }

// A descriptor names a blob.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// A manifest is that of one image.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// An index is what index.json holds.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Manifests     []descriptor `json:"manifests"`
}

func corruptf(file, format string, args ...any) error {
	return &image.CorruptError{File: file, Detail: fmt.Sprintf(format, args...)}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// isSum reports whether s is a sha256 in lower-case hexadecimal.
func isSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

// sum returns the sha256 that d names, in hexadecimal.
func (d descriptor) sum() (string, error) {
	s, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok || !isSum(s) {
		return "", fmt.Errorf("digest %.80q is not a sha256", d.Digest)
	}
	return s, nil
}

// decodeLayout reads oci-layout.
func decodeLayout(b []byte) error {
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return corruptf(layoutFile, "%v", err)
	}
	if v.Version != "1.0.0" {
		return corruptf(layoutFile, "version %.40q, want 1.0.0", v.Version)
	}
	return nil
}

// decodeIndex reads index.json, which must have one manifest, or one with the
// tag if that is not "".
func decodeIndex(b []byte, tag string) (descriptor, error) {
	var x index
	if err := json.Unmarshal(b, &x); err != nil {
		return descriptor{}, corruptf(indexFile, "%v", err)
	}
	if x.SchemaVersion != 2 {
		return descriptor{}, corruptf(indexFile, "schema version %d, want 2", x.SchemaVersion)
	}
	all := x.Manifests
	if tag != "" {
		all = slices.DeleteFunc(all, func(d descriptor) bool { return d.Annotations[tagKey] != tag })
	}
	if len(all) != 1 {
		return descriptor{}, corruptf(indexFile, "%d manifests to choose from, want 1", len(all))
	}
	d := all[0]
	if d.MediaType != manifestType {
		return descriptor{}, corruptf(indexFile, "media type %.80q, want %s", d.MediaType, manifestType)
	}
	if _, err := d.sum(); err != nil || d.Size < 0 || d.Size > maxJSON {
		return descriptor{}, corruptf(indexFile, "manifest %.80q of %d bytes: no sha256, or more than %d", d.Digest, d.Size, maxJSON)
	}
	return d, nil
}

// decodeManifest reads the manifest of an image.
func decodeManifest(b []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, corruptf("manifest", "%v", err)
	}
	switch {
	case m.SchemaVersion != 2 || m.MediaType != "" && m.MediaType != manifestType:
		return m, corruptf("manifest", "schema version %d, media type %.80q", m.SchemaVersion, m.MediaType)
	case m.Config.MediaType != ConfigType:
		return m, corruptf("manifest", "config is a %.80q, want %s", m.Config.MediaType, ConfigType)
	case m.Config.Size < 0 || m.Config.Size > image.MaxConfigSize:
		return m, corruptf("manifest", "config: %d bytes, at most %d", m.Config.Size, image.MaxConfigSize)
	case len(m.Layers) > maxLayers:
		return m, corruptf("manifest", "%d layers, at most %d", len(m.Layers), maxLayers)
	}
	return m, nil
}

// A layer is what a part of an image has to be.
type layer struct {
	title     string
	mediaType string
	max       int64 // bytes, compressed
}

func pagesTitle(m image.MemoryInfo) string      { return m.Pages + ".zst" }
func pagesIndexTitle(m image.MemoryInfo) string { return m.Pages + ".index.zst" }

// fileLayer is the layer of a file that the config lists.
func fileLayer(c *image.Config, name string) layer {
	l := layer{title: name + ".zst", mediaType: StateType, max: maxCompressed(c.Files[name].Size)}
	switch {
	case strings.HasPrefix(name, "module-"):
		l.mediaType = ModuleType
	case strings.HasPrefix(name, "pagemap-"):
		l.mediaType = PageMapType
	}
	return l
}

// layersOf returns the layers of an image with this config, in the order in
// which they are exported.
func layersOf(c *image.Config) []layer {
	var all []layer
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		all = append(all, fileLayer(c, name))
	}
	for _, m := range c.Memories {
		chunks := (m.Size + image.ChunkSize - 1) / image.ChunkSize
		all = append(all,
			layer{pagesIndexTitle(m), PagesIndexType, maxCompressed(maxIndexSize(m.Size))},
			layer{pagesTitle(m), PagesType, chunks * maxFrame})
	}
	return all
}

// match returns the layers of m by title: those of c, and no others. Pages may
// be missing.
func (m *manifest) match(c *image.Config) (map[string]descriptor, error) {
	want := make(map[string]layer)
	for _, l := range layersOf(c) {
		want[l.title] = l
	}
	got := make(map[string]descriptor)
	for i, d := range m.Layers {
		title := d.Annotations[titleKey]
		l, ok := want[title]
		_, dup := got[title]
		_, err := d.sum()
		switch {
		case !ok:
			return nil, corruptf("manifest", "layer %d: %.80q belongs to nothing", i, title)
		case dup:
			return nil, corruptf("manifest", "layer %d: %s is there twice", i, title)
		case d.MediaType != l.mediaType:
			return nil, corruptf("manifest", "%s: media type %.80q, want %s", title, d.MediaType, l.mediaType)
		case err != nil:
			return nil, corruptf("manifest", "%s: %v", title, err)
		case d.Size < 0 || d.Size > l.max:
			return nil, corruptf("manifest", "%s: %d bytes, at most %d", title, d.Size, l.max)
		}
		got[title] = d
	}
	for _, l := range layersOf(c) {
		if _, ok := got[l.title]; !ok && l.mediaType != PagesType {
			return nil, corruptf("manifest", "no layer %s", l.title)
		}
	}
	return got, nil
}

// total is how many bytes of an image's parts are moved, before compression.
func total(c *image.Config, pages int64) int64 {
	n := pages * image.PageSize
	for _, f := range c.Files {
		n += f.Size
	}
	return n
}
