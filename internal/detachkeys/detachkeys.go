// Package detachkeys finds the keys that detach a client from a terminal in
// what its user types, as docker's --detach-keys has them.
package detachkeys

import (
	"fmt"
	"strings"
)

// Default is docker's sequence.
const Default = "ctrl-p,ctrl-q"

// Keys is a sequence of keys, and how much of it was just typed. The zero value
// is no sequence: nothing detaches.
type Keys struct {
	seq   []byte
	typed int // how many of seq the last bytes were
}

// Parse reads a sequence: keys with commas between them, each a character or
// ctrl- and one of a-z @ [ \ ] ^ _, or DEL. An empty string is no sequence.
func Parse(s string) (*Keys, error) {
	k := &Keys{}
	if s == "" {
		return k, nil
	}
	for _, name := range strings.Split(s, ",") {
		c, ok := key(name)
		if !ok {
			return nil, fmt.Errorf("detach keys %q: no such key: %q", s, name)
		}
		k.seq = append(k.seq, c)
	}
	return k, nil
}

// key returns the byte that a key sends.
func key(name string) (byte, bool) {
	if len(name) == 1 {
		return name[0], true
	}
	if name == "DEL" {
		return 0x7f, true
	}
	c, ok := strings.CutPrefix(name, "ctrl-")
	if !ok || len(c) != 1 || !strings.Contains(`abcdefghijklmnopqrstuvwxyz@[\]^_`, c) {
		return 0, false
	}
	return c[0] & 0x1f, true
}

// Scan looks through what was typed next. Pass is what goes to the terminal. A
// part of the sequence is held back until it is known whether the rest comes,
// and passed on if it does not. Once detached is true, the sequence was typed;
// what came after it in the same read is dropped, and the next Scan begins
// anew.
//
// Docker forgets all that it holds back when another key comes; here ctrl-p,
// ctrl-p, ctrl-q passes one ctrl-p and detaches.
func (k *Keys) Scan(in []byte) (pass []byte, detached bool) {
	if len(k.seq) == 0 {
		return in, false
	}
	pass = make([]byte, 0, k.typed+len(in))
	for _, c := range in {
		for {
			if c == k.seq[k.typed] {
				k.typed++
				break
			}
			if k.typed == 0 {
				pass = append(pass, c)
				break
			}
			// What is held back may end with a shorter start of the sequence.
			shorter := k.border(k.typed)
			pass = append(pass, k.seq[:k.typed-shorter]...)
			k.typed = shorter
		}
		if k.typed == len(k.seq) {
			k.typed = 0
			return pass, true
		}
	}
	return pass, false
}

// border returns the length of the longest start of the sequence that its
// first n bytes end with, and that is shorter than n.
func (k *Keys) border(n int) int {
	for b := n - 1; b > 0; b-- {
		if string(k.seq[:b]) == string(k.seq[n-b:n]) {
			return b
		}
	}
	return 0
}
