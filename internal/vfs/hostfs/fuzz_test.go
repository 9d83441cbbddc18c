package hostfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
)

// FuzzRestoreFile gives hostile states to a restore. It may open what is in the
// directory, and nothing else.
func FuzzRestoreFile(f *testing.F) {
	plain := State{Type: abi.FiletypeRegularFile, Path: "f", Read: true, Size: 1}
	outside, link, gone := plain, plain, plain
	outside.Path, link.Path = "../secret", "link"
	gone.Write, gone.Unlinked, gone.Content = true, true, []byte("x")
	for _, s := range []State{
		plain, outside, link, gone,
		{Type: abi.FiletypeDirectory, Path: ".", Cookies: []CookieState{{"f", 1}}, LastCookie: 1},
	} {
		b, err := protostruct.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	top := f.TempDir()
	host := filepath.Join(top, "in")
	for p, content := range map[string]string{"secret": "secret", "in/f": "x"} {
		p = filepath.Join(top, p)
		os.MkdirAll(filepath.Dir(p), 0o777)
		if err := os.WriteFile(p, []byte(content), 0o666); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(host, "link")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fs, err := Open(host, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer fs.Close()
		opened, err := fs.RestoreFile(nil, data)
		if err != nil {
			return
		}
		defer opened.Close()
		if file, ok := opened.(*file); ok {
			buf := make([]byte, 10)
			n, _ := file.ReadAt([][]byte{buf}, 0)
			if string(buf[:n]) == "secret" {
				t.Errorf("%x opened the secret", data)
			}
		}
	})
}
