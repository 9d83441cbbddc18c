package wazero

import (
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
)

// accessor calls a function that the hot form has for the host.
func (t *Thread) accessor(name string, stack ...uint64) (uint64, error) {
	if len(stack) == 0 {
		stack = []uint64{0}
	}
	err := t.hot.ExportedFunction(name).CallWithStack(&t.ctx, stack)
	return stack[0], err
}

// saveTables describes the tables that may differ from what the segments made
// of them.
func (t *Thread) saveTables() ([]engine.Table, error) {
	var out []engine.Table
	if t.parked != nil {
		for _, s := range t.parked.tables {
			out = append(out, engine.Table{Index: s.Index, Items: slices.Clone(s.Items)})
		}
		return out, nil
	}
	for i := range t.tables {
		items, err := t.tableItems(uint32(i))
		if err != nil {
			return nil, fmt.Errorf("table %d: %w", i, err)
		}
		out = append(out, engine.Table{Index: uint32(i), Items: items})
	}
	return out, nil
}

// tableItems reads a table: from its shadow, or from the engine.
func (t *Thread) tableItems(i uint32) ([]uint64, error) {
	if s := &t.tables[i]; s.kept {
		items := make([]uint64, len(s.funcs))
		for k, n := range s.funcs {
			items[k] = uint64(n)
		}
		return items, nil
	}
	n, err := t.accessor(instrument.ExportTableSize(i))
	if err != nil {
		return nil, err
	}
	items := make([]uint64, uint32(n))
	get := t.hot.ExportedFunction(instrument.ExportGetTable(i))
	for k := range items {
		items[k] = uint64(k)
		if err := get.CallWithStack(&t.ctx, items[k:k+1]); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (t *Thread) restoreTables(st *engine.State) error {
	seen := make(map[uint32]bool)
	for _, s := range st.Tables {
		if int(s.Index) >= len(t.tables) || seen[s.Index] {
			return fmt.Errorf("table %d: the module has none that can have changed", s.Index)
		}
		seen[s.Index] = true
		if err := t.checkTable(&s); err != nil {
			return fmt.Errorf("table %d: %w", s.Index, err)
		}
		if err := t.setTable(s.Index, s.Items); err != nil {
			return fmt.Errorf("table %d: %w", s.Index, err)
		}
	}
	if len(seen) != len(t.tables) {
		return fmt.Errorf("%d of %d tables are there", len(seen), len(t.tables))
	}
	return nil
}

// checkTable checks a table from outside against the module.
func (t *Thread) checkTable(s *engine.Table) error {
	m := t.module.program.Module()
	typ, _ := m.TableType(s.Index)
	n := uint64(len(s.Items))
	if n < typ.Limits.Min || n > instrument.MaxTableItems || typ.Limits.HasMax && n > typ.Limits.Max {
		return fmt.Errorf("%d elements are outside its limits", n)
	}
	if instrument.IsException(typ.Elem) {
		for k, x := range s.Items {
			if err := t.checkException(engine.Value{Type: typ.Elem, Lo: x}); err != nil {
				return fmt.Errorf("element %d: %w", k, err)
			}
		}
	}
	if !t.tables[s.Index].kept {
		return nil
	}
	for k, x := range s.Items {
		if x>>32 != 0 {
			return fmt.Errorf("element %d: %#x is no function", k, x)
		}
		if err := checkFunc(x, typ.Elem, t.module.program); err != nil {
			return fmt.Errorf("element %d: %w", k, err)
		}
		if x != 0 && !t.module.program.Taken(uint32(x-1)) {
			return fmt.Errorf("element %d: no reference to function %d can exist", k, x-1)
		}
	}
	return nil
}

// setTable gives a table (and its shadow) a content, which is checked.
func (t *Thread) setTable(i uint32, items []uint64) error {
	have, err := t.tableItems(i)
	if err != nil {
		return err
	}
	if grow := len(items) - len(have); grow > 0 {
		n, err := t.accessor(instrument.ExportGrowTable(i), uint64(grow))
		if err != nil {
			return err
		}
		if int32(n) == -1 {
			return fmt.Errorf("cannot grow to %d elements", len(items))
		}
		have = append(have, make([]uint64, grow)...)
	}
	var set api.Function
	for k, x := range items {
		if have[k] == x {
			continue
		}
		if set == nil { // each look-up makes a stack
			set = t.hot.ExportedFunction(instrument.ExportSetTable(i))
		}
		if err := set.CallWithStack(&t.ctx, []uint64{uint64(k), x}); err != nil {
			return err
		}
	}
	if s := &t.tables[i]; s.kept {
		s.funcs = make([]uint32, len(items))
		for k, x := range items {
			s.funcs[k] = uint32(x)
		}
	}
	return nil
}
