//go:build !unix

package plainrun

import "time"

func cpuTime() time.Duration { return 0 }
