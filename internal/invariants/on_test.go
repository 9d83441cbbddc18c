//go:build race || invariants

package invariants

import (
	"strings"
	"sync"
	"testing"
)

type first struct{}

func (first) Order() int { return 1 }

type second struct{}

func (second) Order() int { return 2 }

type other struct{}

func (other) Order() int { return 2 }

type nested struct{}

func (nested) Order() int           { return 3 }
func (nested) NestsBecause() string { return "this is a test" }

func TestOrder(t *testing.T) {
	var a Mutex[first]
	var b Mutex[second]
	var c Mutex[other]
	var n, m Mutex[nested]
	for name, c := range map[string]struct {
		lock []sync.Locker
		bad  bool
	}{
		"upwards":        {[]sync.Locker{&a, &b, &n}, false},
		"downwards":      {[]sync.Locker{&b, &a}, true},
		"over one":       {[]sync.Locker{&a, &n, &b}, true},
		"the same place": {[]sync.Locker{&b, &c}, true},
		"nested":         {[]sync.Locker{&a, &n, &m}, false},
		"not nested":     {[]sync.Locker{&b, new(Mutex[second])}, true},
	} {
		var held []sync.Locker
		got := func() (text string) {
			defer func() {
				if r := recover(); r != nil {
					text = r.(string)
				}
			}()
			for _, l := range c.lock {
				l.Lock()
				held = append(held, l)
			}
			return ""
		}()
		if c.bad != strings.Contains(got, "the order is the other way round") {
			t.Errorf("%s: %q", name, got)
		}
		for _, l := range held {
			l.Unlock()
		}
	}
}

// What one goroutine holds does not concern another one.
func TestGoroutines(t *testing.T) {
	var a Mutex[first]
	var b Mutex[second]
	b.Lock()
	defer b.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Lock()
		defer a.Unlock()
	}()
	<-done
}
