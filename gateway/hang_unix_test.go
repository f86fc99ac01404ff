//go:build unix

package gateway_test

import (
	"os"
	"path/filepath"
	"syscall"
)

// hang puts a pipe in the place of a file: who opens it waits until release has written the text.
func (r *running) hang(name, text string) (release func()) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			r.t.Error(err)
			return
		}
		defer pipe.Close()
		// Another file stands at the path before the first reader is done: it is read again for the hash.
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			r.t.Error(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			r.t.Error(err)
		}
		if _, err := pipe.WriteString(text); err != nil {
			r.t.Error(err)
		}
	}
}
