package conformance

import (
	"fmt"
	"slices"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A tag is what it is by the instance that defines it.
type tag struct {
	owner *passInstance
	index uint32
}

// A thrown is an exception between instances.
type thrown struct {
	tag    tag
	values []engine.Value
}

// usesTags reports whether exceptions may come out of a module or into it.
func usesTags(m *wasm.Module) bool {
	return len(m.Tags) > 0 || slices.ContainsFunc(m.Imports, func(im wasm.Import) bool { return im.Kind == wasm.ExternTag })
}

// addForeignTag gives a module a last tag, under which exceptions of tags that
// it does not know go through it: our engine throws by the module's own tags.
// What they carry is an index into passHost.foreign.
func addForeignTag(m *wasm.Module) {
	m.Types = append(m.Types, wasm.FuncType{Params: []wasm.ValType{wasm.I32}})
	m.Tags = append(m.Tags, uint32(len(m.Types)-1))
}

// thrownBy has i throw what another instance threw in a call.
func (i *passInstance) thrownBy(from *passInstance, e *engine.Exception) error {
	t := thrown{from.tags[e.Tag], e.Values}
	if t.tag.owner == nil { // one that was only passing through
		t = i.host.foreign[e.Values[0].Lo]
	}
	if len(i.tags) == 0 {
		return fmt.Errorf("an exception comes into a module without tags: %w", ErrUnsupported)
	}
	at := slices.Index(i.tags, t.tag)
	if at < 0 {
		at = len(i.tags) - 1
		i.host.foreign = append(i.host.foreign, t)
		t.values = []engine.Value{{Type: wasm.I32, Lo: uint64(len(i.host.foreign) - 1)}}
	}
	return &enginetest.Throw{Exception: engine.Exception{Tag: uint32(at), Values: t.values}}
}

// linkTags finds the tags that i imports and adds its own.
func (h *passHost) linkTags(i *passInstance) (tags []tag, err error) {
	if !usesTags(i.decl) {
		return nil, nil
	}
	for _, im := range i.decl.Imports {
		if im.Kind != wasm.ExternTag {
			continue
		}
		from := h.registered[im.Module]
		if from == nil {
			return nil, fmt.Errorf("unknown import %s.%s", im.Module, im.Name)
		}
		at := slices.IndexFunc(from.decl.Exports, func(x wasm.Export) bool { return x.Kind == wasm.ExternTag && x.Name == im.Name })
		if at < 0 {
			return nil, fmt.Errorf("unknown import %s.%s", im.Module, im.Name)
		}
		n := from.decl.Exports[at].Index
		t, _ := from.decl.TagType(n)
		if into := i.decl.Types[im.Type]; !sameSig(from.decl, t, i.decl, into) || !samePlace(t, into) {
			return nil, fmt.Errorf("incompatible import type %s.%s", im.Module, im.Name)
		}
		tags = append(tags, from.tags[n])
	}
	for range i.decl.Tags[1:] {
		tags = append(tags, tag{i, uint32(len(tags))})
	}
	return append(tags, tag{}), nil
}

// samePlace reports whether two types have the same place in groups of the
// same length.
func samePlace(a, b wasm.FuncType) bool {
	ap, an := a.Group()
	bp, bn := b.Group()
	return ap == bp && an == bn
}
