package image

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A run is a stretch of pages that are stored one after another.
type run struct {
	first, count int // in pages; count is 1 or more
}

// A page map is a list of runs, each as two unsigned varints (LEB128, in the
// fewest bytes): how many pages lie between it and the run before it, and how
// many pages it has. Two runs that touch would be one, so only the first gap
// may be 0. The list has no length: it ends with the file. Thus each set of
// pages has one encoding, and no encoding has pages twice or out of order.

// appendRun adds the page to the runs, which it must come after.
func appendRun(runs []run, page int) []run {
	if n := len(runs); n > 0 && runs[n-1].first+runs[n-1].count == page {
		runs[n-1].count++
		return runs
	}
	return append(runs, run{page, 1})
}

func encodePageMap(runs []run) []byte {
	var b []byte
	end := 0
	for _, r := range runs {
		b = binary.AppendUvarint(b, uint64(r.first-end))
		b = binary.AppendUvarint(b, uint64(r.count))
		end = r.first + r.count
	}
	return b
}

// decodePageMap reads the page map of a memory of so many pages, of which so
// many are stored.
func decodePageMap(b []byte, pages, stored int) ([]run, error) {
	if len(b) > maxPageMapSize(pages) {
		return nil, fmt.Errorf("%d bytes, at most %d for %d pages", len(b), maxPageMapSize(pages), pages)
	}
	runs := make([]run, 0, len(b)/2) // at least two bytes each
	end, sum := 0, 0
	for len(b) > 0 {
		r, rest, err := decodeRun(b, end, pages)
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", len(runs), err)
		}
		runs, b, end, sum = append(runs, r), rest, r.first+r.count, sum+r.count
	}
	if sum != stored {
		return nil, fmt.Errorf("%d pages, the pages file has %d", sum, stored)
	}
	return runs, nil
}

// decodeRun reads the run that follows one that ends before the page end.
func decodeRun(b []byte, end, pages int) (r run, rest []byte, err error) {
	gap, b, err := shortestUvarint(b)
	if err != nil {
		return run{}, nil, err
	}
	count, b, err := shortestUvarint(b)
	if err != nil {
		return run{}, nil, err
	}
	switch left := uint64(pages - end); {
	case gap == 0 && end > 0:
		return run{}, nil, fmt.Errorf("touches the run before it, at page %d", end)
	case count == 0:
		return run{}, nil, errors.New("has no pages")
	case gap > left || count > left-gap:
		return run{}, nil, fmt.Errorf("%d pages, %d after page %d, in a memory of %d", count, gap, end, pages)
	}
	return run{end + int(gap), int(count)}, b, nil
}

var errVarint = errors.New("truncated or overlong number")

// shortestUvarint refuses a number that could have been written shorter.
func shortestUvarint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, errVarint
	}
	return v, b[n:], nil
}

// maxPageMapSize bounds the bytes of a page map: most with every other page
// stored, when a run takes two one-byte numbers; a longer number covers at
// least the pages that its bytes would have as runs of their own. The bound
// is loose, so that it is easy to see.
func maxPageMapSize(pages int) int { return 2*pages + 16 }
