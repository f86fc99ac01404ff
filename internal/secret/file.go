// Package secret reads secrets that stand in files of their own: what the keys that end in _file name.
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// MaxBytes bounds a file that holds one secret: a certificate chain fits in a quarter of it.
const MaxBytes = 64 << 10

// Read returns what the file holds, without the one newline that editors put at the end.
//
// It reads the file anew each time, so a secret that is replaced is seen at the next call. It reads no more than MaxBytes. An error names
// the file and says what is wrong with it, never what stands in it; a file with nothing but space in it, or no regular file, is one.
func Read(path string) (string, error) {
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() { // before it is opened: a pipe without a writer would hang
		return "", wrong(path, errors.New("is not a regular file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case len(data) > MaxBytes:
		return "", wrong(path, fmt.Errorf("the file is longer than %d bytes", MaxBytes))
	case strings.TrimSpace(text) == "":
		return "", wrong(path, errors.New("the file is empty"))
	}
	return text, nil
}

func wrong(path string, err error) error { return &fs.PathError{Op: "read", Path: path, Err: err} }

// Exposed reports whether every user of the machine may read the file. It is false where that cannot be told: the file is not there, or
// the system has no such right.
func Exposed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}
