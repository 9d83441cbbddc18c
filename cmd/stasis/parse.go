package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/sandbox"
)

// parseSize reads a number of bytes with a suffix b, k, m or g, as docker does.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit := s, int64(1)
	switch strings.ToLower(s[len(s)-1:]) {
	case "b":
		number = s[:len(s)-1]
	case "k":
		number, unit = s[:len(s)-1], 1<<10
	case "m":
		number, unit = s[:len(s)-1], 1<<20
	case "g":
		number, unit = s[:len(s)-1], 1<<30
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<40/unit {
		return 0, fmt.Errorf("size %q: want a number of bytes such as 64m or 1g", s)
	}
	return n * unit, nil
}

// checkListen refuses what cannot be the address of a listening socket.
func checkListen(s string) error {
	network, addr, _ := strings.Cut(s, ":")
	_, port, err := net.SplitHostPort(addr)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if network != "tcp" || err != nil || numErr != nil || n == 0 {
		return fmt.Errorf("listen %q: want tcp:HOST:PORT with a port from 1 to 65535", s)
	}
	return nil
}

// parseStress reads unwind=N or checkpoint=N.
func parseStress(s string, c *sandbox.Config) error {
	if s == "" {
		return nil
	}
	kind, number, _ := strings.Cut(s, "=")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 || n >= 1<<31-1 {
		return fmt.Errorf("stress %q: want unwind=N or checkpoint=N with N of at least 1", s)
	}
	switch kind {
	case "unwind":
		c.StressUnwind = int32(n)
	case "checkpoint":
		c.StressCheckpoint = int32(n)
	default:
		return fmt.Errorf("stress %q: want unwind=N or checkpoint=N", s)
	}
	return nil
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// signals are the names that kill takes.
var signals = map[string]int32{
	"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
	"CONT": 18, "STOP": 19, "TSTP": 20,
}

func parseSignal(s string) (int32, error) {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 && n <= 64 {
		return int32(n), nil
	}
	if n, ok := signals[strings.TrimPrefix(strings.ToUpper(s), "SIG")]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("signal %q is not known (a number, or a name such as TERM)", s)
}
