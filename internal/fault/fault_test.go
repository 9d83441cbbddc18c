package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stasis-run/stasis/internal/fault"
)

func TestKindOf(t *testing.T) {
	inner := fault.Advise(fault.Exhausted, fs.ErrInvalid, "free %d", 3)
	for _, c := range []struct {
		err     error
		want    fault.Kind
		text    string
		advised bool
	}{
		{errors.New("a"), fault.Internal, "a", false},
		{context.Canceled, fault.Canceled, "context canceled", false},
		{fmt.Errorf("a: %w", context.DeadlineExceeded), fault.Timeout, "a: context deadline exceeded", false},
		{fault.New(fault.Refused, "no %s", "way"), fault.Refused, "no way", false},
		{inner, fault.Exhausted, "invalid argument (free 3)", true},
		{fmt.Errorf("b: %w", inner), fault.Exhausted, "b: invalid argument (free 3)", true},
		{fault.New(fault.NotFound, "c: %w", inner), fault.NotFound, "c: invalid argument (free 3)", true}, // the outermost
		{errors.Join(errors.New("a"), inner), fault.Exhausted, "a\ninvalid argument (free 3)", true},
	} {
		if got := fault.KindOf(c.err); got != c.want || c.err.Error() != c.text || fault.Advised(c.err) != c.advised {
			t.Errorf("%v is %v, advised %v; want %q, %v, %v", c.err, got, fault.Advised(c.err), c.text, c.want, c.advised)
		}
	}
	if !errors.Is(inner, fs.ErrInvalid) {
		t.Error("the cause is lost")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ünïcödé, 漢\n\t": "plain, ünïcödé, 漢\n\t", "\x1b[2Jx\r": "?[2Jx?", "\xff\x00": "??", "\u202e\u200b\ufeff": "???", "": "",
	} {
		if got := fault.Clean(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
