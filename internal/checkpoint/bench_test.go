package checkpoint_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// largeState has 10,000 frames of 8 values, and a root file system of the given
// size.
func largeState(root int) *checkpoint.State {
	r := rand.New(rand.NewPCG(1, 1))
	th := &engine.State{MemorySize: 1 << 30}
	for range 10_000 {
		f := engine.Frame{Func: r.Uint32N(10_000), Pos: r.Uint32N(10_000)}
		for i := range 8 {
			f.Values = append(f.Values, engine.Slot{Operand: i > 5, Index: uint32(i), Value: engine.Value{Type: wasm.I32, Lo: uint64(r.Uint32())}})
		}
		th.Frames = append(th.Frames, f)
	}
	fs := &memfs.State{Bytes: 1 << 30, Inodes: 1000, LastIno: 9, Root: 1}
	const chunk, perFile = 64 << 10, 1 << 20
	for ino := uint64(2); root > 0; ino++ {
		n := memfs.NodeState{Ino: ino, Filetype: abi.FiletypeRegularFile, Size: perFile}
		for off := 0; off < perFile && root > 0; off += chunk {
			b := make([]byte, chunk)
			for i := range b {
				b[i] = byte(i * 7)
			}
			n.Extents = append(n.Extents, memfs.Extent{Off: int64(off), Data: b})
			root -= chunk
		}
		fs.Nodes = append(fs.Nodes, n)
	}
	return &checkpoint.State{
		Kernel: &kernel.State{LastID: 1, Processes: []kernel.ProcessState{{Tasks: []kernel.TaskState{{ID: 1, Thread: th}}}}},
		Files:  &vfs.State{}, FDs: make([]vfs.FDTableState, 1), Mounts: []memfs.MountState{{Guest: "/", FS: fs}},
	}
}

// BenchmarkState encodes and decodes a large state: what of it takes time are
// the frames, not the 50 MB.
func BenchmarkState(b *testing.B) {
	for _, c := range []struct {
		name string
		root int
	}{{"frames", 0}, {"frames+50MB", 50 << 20}} {
		st := largeState(c.root)
		text := encoded(b, st)
		b.Run(c.name+"/marshal", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := protostruct.Marshal(st); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/unmarshal", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := protostruct.Unmarshal(text, new(checkpoint.State)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
