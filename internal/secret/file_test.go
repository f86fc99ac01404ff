package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret is what its file holds but for one newline at the end; what cannot be one is an error that names the file and shows nothing of it.
func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want, err string }{
		{name: "plain", text: "s3cret", want: "s3cret"},
		{name: "newline", text: "s3cret\n", want: "s3cret"},
		{name: "newline of Windows", text: "s3cret\r\n", want: "s3cret"},
		{name: "one newline only", text: "s3cret\n\n", want: "s3cret\n"},
		{name: "space is kept", text: " s3 cret \n", want: " s3 cret "},
		{name: "longest", text: strings.Repeat("s", MaxBytes), want: strings.Repeat("s", MaxBytes)},
		{name: "too long", text: strings.Repeat("s3cret", MaxBytes), err: "the file is longer than 65536 bytes"},
		{name: "nothing", text: "", err: "the file is empty"},
		{name: "nothing but a newline", text: "\n", err: "the file is empty"},
		{name: "nothing but space", text: " \t\n", err: "the file is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Read(path)
			if got != c.want || (err == nil) != (c.err == "") {
				t.Fatalf("%q, %v; want %q, %q", got, err, c.want, c.err)
			}
			if err != nil && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("%v; want %q, the path and no secret", err, c.err)
			}
		})
	}
}

// What is no file is an error: a folder, a device that never ends, nothing at all.
func TestReadNoFile(t *testing.T) {
	for path, want := range map[string]string{
		t.TempDir():                          "is not a regular file",
		os.DevNull:                           "is not a regular file",
		filepath.Join(t.TempDir(), "absent"): "no such file",
	} {
		if got, err := Read(path); err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}

// A file is exposed where its mode lets everybody read it, by a link too.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "token"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o604: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if Exposed(path) != want || Exposed(link) != want {
			t.Errorf("mode %v: %v, by the link %v; want %v", mode, Exposed(path), Exposed(link), want)
		}
	}
	if Exposed(filepath.Join(dir, "absent")) {
		t.Error("a file that is not there is exposed")
	}
}
