// Gojob is a Go guest: goroutines and channels, maps, garbage, JSON and
// regular expressions. What it prints depends on its arguments only.
//
//	gojob mixed|json|regexp|maps|gc SCALE
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"text/template"
)

// A rng is xorshift64: the same numbers everywhere.
type rng uint64

func (r *rng) next() uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = rng(x)
	return x
}

func (r *rng) intn(n int) int { return int(r.next() >> 11 % uint64(n)) }

// A log is what the program prints: lines with a running digest.
type log struct{ sum uint64 }

func (l *log) add(parts ...any) {
	h := fnv.New64a()
	fmt.Fprint(h, l.sum)
	fmt.Fprintln(h, parts...)
	l.sum = h.Sum64()
}

func (l *log) line(what string, i, n int) { fmt.Printf("%s %d/%d %016x\n", what, i, n, l.sum) }

var modes = map[string]func(l *log, r *rng, i int){
	"json":   jsonRound,
	"regexp": regexpRound,
	"maps":   mapsRound,
	"gc":     gcRound,
	"mixed": func(l *log, r *rng, i int) {
		pipelineRound(l, r, i)
		jsonRound(l, r, i)
		regexpRound(l, r, i)
		mapsRound(l, r, i)
		gcRound(l, r, i)
		panicRound(l, r, i)
	},
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "gojob:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	if len(args) != 3 || modes[args[1]] == nil {
		return errors.New("usage: gojob mixed|json|regexp|maps|gc SCALE")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil || n < 1 {
		return fmt.Errorf("scale %s: not a positive number", args[2])
	}
	l, r := new(log), rng(0x57a515)
	for i := 1; i <= n; i++ {
		modes[args[1]](l, &r, i)
		l.line(args[1], i, n)
	}
	fmt.Printf("%s digest %016x\n", args[1], l.sum)
	return nil
}

// pipelineRound sends numbers through stages of goroutines: a generator, a
// pool of workers, a collector that puts them in order again; with a mutex, a
// condition and a select among them.
func pipelineRound(l *log, r *rng, round int) {
	type job struct{ n, in, out int }
	const jobs, workers = 400, 8
	todo, done, quit := make(chan job), make(chan job, 16), make(chan struct{})
	seeds := make([]int, jobs)
	for i := range seeds {
		seeds[i] = r.intn(5000) + 1
	}
	go func() {
		defer close(todo)
		for i, s := range seeds {
			todo <- job{n: i, in: s}
		}
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	longest := 0
	for range workers {
		wg.Go(func() {
			for j := range todo {
				j.out = collatz(j.in, 0)
				mu.Lock()
				longest = max(longest, j.out)
				mu.Unlock()
				select {
				case done <- j:
				case <-quit:
					return
				}
				runtime.Gosched()
			}
		})
	}
	go func() {
		wg.Wait()
		close(done)
	}()
	out := make([]int, jobs)
	for j := range done {
		out[j.n] = j.out
	}
	close(quit)
	l.add("pipeline", round, longest, out)

	// A ring of goroutines that pass a token on.
	const ring = 50
	first := make(chan int)
	in := first
	for range ring {
		next := make(chan int)
		go func(in <-chan int, out chan<- int) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(in, next)
		in = next
	}
	sum := 0
	for i := range 40 {
		go func() { first <- i * ring }()
		sum += <-in
	}
	close(first)
	for range in {
	}
	l.add("ring", sum)
}

// collatz counts the steps to 1, by recursion.
func collatz(n, steps int) int {
	switch {
	case n == 1:
		return steps
	case n%2 == 0:
		return collatz(n/2, steps+1)
	}
	return collatz(3*n+1, steps+1)
}

type order struct {
	ID       int               `json:"id"`
	Customer string            `json:"customer"`
	Lines    []line            `json:"lines"`
	Tags     map[string]string `json:"tags,omitempty"`
	Total    float64           `json:"total"`
	Parent   *order            `json:"parent,omitempty"`
}

type line struct {
	SKU   string   `json:"sku"`
	Count int      `json:"count"`
	Price float64  `json:"price"`
	Notes []string `json:"notes"`
}

func newOrder(r *rng, id, depth int) *order {
	o := &order{ID: id, Customer: fmt.Sprintf("customer \"%d\" <é%x>", r.intn(100), r.intn(1<<20)), Tags: map[string]string{}}
	for i := range 3 + r.intn(5) {
		x := line{SKU: fmt.Sprintf("SKU-%05d", r.intn(99999)), Count: 1 + r.intn(9), Price: float64(r.intn(10000)) / 100}
		for range r.intn(4) {
			x.Notes = append(x.Notes, strings.Repeat("note ", 1+r.intn(4)))
		}
		o.Lines = append(o.Lines, x)
		o.Total += float64(x.Count) * x.Price
		o.Tags["tag"+strconv.Itoa(i)] = strconv.FormatUint(r.next(), 36)
	}
	if depth > 0 {
		o.Parent = newOrder(r, id*10, depth-1)
	}
	return o
}

// jsonRound encodes, decodes into types and into any, and encodes again.
func jsonRound(l *log, r *rng, round int) {
	for i := range 12 {
		var orders []*order
		for k := range 10 {
			orders = append(orders, newOrder(r, round*1000+i*10+k, 2))
		}
		b, err := json.MarshalIndent(orders, "", "  ")
		must(err)
		var back []*order
		must(json.Unmarshal(b, &back))
		var loose any
		must(json.Unmarshal(b, &loose))
		c, err := json.Marshal(loose)
		must(err)
		var compact bytes.Buffer
		must(json.Compact(&compact, b))
		d, err := json.MarshalIndent(back, "", "  ")
		must(err)
		if !bytes.Equal(b, d) {
			panic("json: what came back is not what went in")
		}
		l.add("json", len(b), string(c[:200]), compact.Len())
	}
}

var (
	mail  = regexp.MustCompile(`([a-z0-9._]+)@([a-z0-9-]+)\.(com|org|net)`)
	stamp = regexp.MustCompile(`(?i)(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(:\d\d)?\b`)
	hard  = regexp.MustCompile(`(a|ab|abc|abcd)*(d|cd|bcd)+x?(z*)$`)
)

// regexpRound searches and replaces in a generated log file.
func regexpRound(l *log, r *rng, round int) {
	var b strings.Builder
	for range 220 {
		fmt.Fprintf(&b, "2026-%02d-%02dT%02d:%02d user.%d@host-%x.%s ", 1+r.intn(12), 1+r.intn(28), r.intn(24), r.intn(60),
			r.intn(999), r.intn(4096), []string{"com", "org", "net", "example"}[r.intn(4)])
		b.WriteString(strings.Repeat("abcd", r.intn(9)))
		b.WriteString(" GET /index/" + strconv.Itoa(r.intn(1e6)) + "\n")
	}
	text := b.String()
	hits := mail.FindAllStringSubmatch(text, -1)
	swapped := mail.ReplaceAllString(text, "$2 at $1")
	dates := stamp.FindAllStringIndex(text, -1)
	matched := 0
	for _, line := range strings.Split(text, "\n") {
		for f := range strings.FieldsSeq(line) {
			if hard.MatchString(f) {
				matched++
			}
		}
	}
	l.add("regexp", round, len(hits), hits[0], len(swapped), dates[len(dates)-1], matched)
}

// mapsRound grows, changes, empties and sorts maps of several kinds.
func mapsRound(l *log, r *rng, round int) {
	type key struct {
		a int
		b string
	}
	counts, keyed, nested := map[string]int{}, map[key][]int{}, map[int]map[int]int{}
	for i := range 6000 {
		w := strconv.FormatUint(r.next()%3000, 32)
		counts[w]++
		k := key{i % 97, w[:1]}
		keyed[k] = append(keyed[k], i)
		m := nested[i%53]
		if m == nil {
			m = map[int]int{}
			nested[i%53] = m
		}
		m[r.intn(500)] += i
		if i%5 == 0 {
			delete(counts, strconv.FormatUint(r.next()%3000, 32))
		}
	}
	var words []string
	for w, n := range counts {
		if n > 1 {
			words = append(words, w+":"+strconv.Itoa(n))
		}
	}
	sort.Strings(words)
	sum := 0
	for k, v := range keyed {
		sum += k.a*len(v) + v[len(v)/2]
	}
	for a, m := range nested {
		for b, c := range m {
			sum += a * b % 1009 * c
		}
	}
	l.add("maps", round, len(counts), len(words), words[:10], sum)
}

type tree struct {
	left, right *tree
	payload     []byte
	value       int
}

func grow(r *rng, depth int) *tree {
	if depth == 0 {
		return &tree{value: r.intn(100), payload: make([]byte, r.intn(64))}
	}
	return &tree{grow(r, depth-1), grow(r, depth-1), nil, depth}
}

func (t *tree) sum() int {
	if t == nil {
		return 0
	}
	return t.value + len(t.payload) + t.left.sum()*3 + t.right.sum()
}

var kept []*tree // some trees outlive their round

// gcRound makes trees and drops most of them, with a finalizer-free weak spot:
// buffers that come and go by a pool.
func gcRound(l *log, r *rng, round int) {
	total := 0
	for i := range 6 {
		t := grow(r, 12)
		total += t.sum()
		if i == 0 {
			kept = append(kept, t)
		}
		if len(kept) > 4 {
			kept = slices.Delete(kept, 0, 1)
		}
	}
	var parts [][]byte
	for range 300 {
		parts = append(parts, bytes.Repeat([]byte{byte(r.intn(256))}, 1+r.intn(4000)))
	}
	for _, t := range kept {
		total ^= t.sum()
	}
	if round%4 == 0 {
		runtime.GC()
	}
	l.add("gc", round, total, len(bytes.Join(parts, nil)))
}

var page = template.Must(template.New("page").Parse(
	`{{range $i, $e := .}}{{if $i}}, {{end}}{{printf "%04d" $e}}{{else}}none{{end}}`))

// panicRound panics many calls deep, with deferred calls on the way out, and
// uses a template, which is reflection all the way down.
func panicRound(l *log, r *rng, round int) {
	var trail []int
	for i := range 30 {
		func() {
			defer func() {
				if v := recover(); v != nil {
					trail = append(trail, v.(int))
				}
			}()
			dive(r, 40+i, &trail)
		}()
	}
	var b strings.Builder
	must(page.Execute(&b, trail[:20]))
	l.add("panic", round, len(trail), b.String())
}

func dive(r *rng, depth int, trail *[]int) {
	defer func() {
		if depth%16 == 0 {
			*trail = append(*trail, depth)
		}
	}()
	if depth == 0 {
		panic(r.intn(10000))
	}
	dive(r, depth-1, trail)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
