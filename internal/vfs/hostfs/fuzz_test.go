package hostfs

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzRestoreFile gives hostile states to a restore. It may open what is in the
// directory, and nothing else.
func FuzzRestoreFile(f *testing.F) {
	for _, s := range []string{
		`{"type":4,"path":"f","read":true,"size":1}`,
		`{"type":3,"path":".","cookies":{"f":1},"lastCookie":1}`,
		`{"type":4,"path":"f","read":true,"write":true,"unlinked":true,"size":1,"content":"eA=="}`,
		`{"type":4,"path":"../secret","read":true}`,
		`{"type":4,"path":"link","read":true}`,
	} {
		f.Add([]byte(s))
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
				t.Errorf("%s opened the secret", data)
			}
		}
	})
}
