package keyring_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/internal/testcert"
)

// What cannot be a certificate or its key is told by its file, in words, and without a byte of it.
func TestRead(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	good := ca.Sign(t, []string{"users.test", "spiffe://acme/users"})
	cert, key := good.Write(t, dir, "good")
	_, otherKey := ca.Sign(t, []string{"other.test"}).Write(t, dir, "other")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	both := write("both.pem", string(good.Key)+string(good.Cert))
	encrypted := write("encrypted.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n")
	garbage := write("garbage", "s3cret-in-no-form")
	broken := write("broken.key", "-----BEGIN PRIVATE KEY-----\nczNjcmV0LWtleQ==\n-----END PRIVATE KEY-----\n")
	pair := func(cert, key string) keyring.Files {
		return keyring.Files{Pairs: []keyring.Pair{{Cert: cert, Key: key}}}
	}
	for _, tt := range []struct {
		name  string
		files keyring.Files
		file  string // which is wrong
		text  string
	}{
		{"good", pair(cert, key), "", ""},
		{"one file", pair(both, both), "", ""},
		{"authorities", keyring.Files{CA: ca.Write(t, dir, "ca")}, "", ""},
		{"nothing", keyring.Files{}, "", ""},
		{"missing", pair(cert, "/none"), "/none", "no such file"},
		{"another's key", pair(cert, otherKey), otherKey, "the key is not that of the certificate in " + cert},
		{"encrypted", pair(cert, encrypted), encrypted, "the key is encrypted: a key without a passphrase is wanted"},
		{"no certificate", pair(garbage, key), garbage, "no certificate in PEM"},
		{"no key", pair(cert, garbage), garbage, "no private key in PEM"},
		{"a broken key", pair(cert, broken), broken, "the private key cannot be read"},
		{"authorities that are none", keyring.Files{CA: key}, key, "no certificate in PEM"},
		{"a folder", keyring.Files{CA: dir}, dir, "is a directory"},
		{"too long", keyring.Files{CA: write("long", strings.Repeat("x", 1<<20+1))}, filepath.Join(dir, "long"), "longer than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keyring.Read(tt.files)
			if (err != nil) != (tt.file != "") {
				t.Fatal(err)
			}
			if of, _ := errors.AsType[*keyring.FileError](err); err != nil && (of == nil || of.Path != tt.file || !strings.Contains(of.Err.Error(), tt.text)) {
				t.Errorf("%v, want %s: %s", err, tt.file, tt.text)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "czNj")) {
				t.Errorf("the error has a part of the file: %v", err)
			}
		})
	}
	m, err := keyring.Read(pair(cert, key))
	if err != nil {
		t.Fatal(err)
	}
	if f := m.Facts[0]; f.File != cert || !slices.Equal(f.Names, []string{"spiffe://acme/users", "users.test"}) {
		t.Errorf("%+v", f)
	}
}

// New files come into force whole; a broken or missing one leaves the last good ones, which is told once; when it is as it was, all is
// well again.
func TestRefresh(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	cert, key := ca.Sign(t, []string{"one"}).Write(t, dir, "c")
	s, err := keyring.Open(keyring.Files{Pairs: []keyring.Pair{{Cert: cert, Key: key}}}, tls.VersionTLS12)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(name string, changed, told, problem bool) {
		t.Helper()
		before := s.Server()
		got, err := s.Refresh()
		if got != changed || (err != nil) != told || (s.Problem() != nil) != problem {
			t.Errorf("changed %v, told %v, problem %v", got, err, s.Problem())
		}
		if n := s.Material().Facts[0].Names[0]; n != name {
			t.Errorf("%s is in force, want %s", n, name)
		}
		if (s.Server() != before) != changed {
			t.Error("the config of listeners and its sessions outlive new files, or do not outlive old ones")
		}
	}
	expect("one", false, false, false)
	two := ca.Sign(t, []string{"two"})
	if err := os.WriteFile(cert, two.Cert, 0o600); err != nil { // half of the change
		t.Fatal(err)
	}
	expect("one", false, true, true)
	expect("one", false, false, true)
	two.Write(t, dir, "c")
	expect("two", true, false, false)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	expect("two", false, true, true)
	expect("two", false, false, true)
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(); err != nil || s.Problem() != nil {
		t.Errorf("%v, %v", err, s.Problem())
	}
	expect("two", false, false, false)
}

// Kubernetes swaps a mounted secret by a link to a folder: the new pair comes into force.
func TestRefreshBehindASwappedLink(t *testing.T) {
	ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		ca.Sign(t, []string{name}).Write(t, filepath.Join(dir, name), "tls")
	}
	link := filepath.Join(dir, "..data")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	pair := keyring.Pair{Cert: filepath.Join(link, "tls.pem"), Key: filepath.Join(link, "tls.key")}
	s, err := keyring.Open(keyring.Files{Pairs: []keyring.Pair{pair}}, tls.VersionTLS12)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("two", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Refresh(); !changed || err != nil || s.Material().Facts[0].Names[0] != "two" {
		t.Errorf("%v, %v, %v", changed, err, s.Material().Facts)
	}
}

// A certificate is to be renewed in the last quarter of its life, and in its last month at most.
func TestExpiry(t *testing.T) {
	now := time.Now()
	const hour, day = time.Hour, 24 * time.Hour
	for _, tt := range []struct {
		life, left time.Duration
		want       keyring.State
	}{
		{365 * day, 31 * day, keyring.Valid},
		{365 * day, 29 * day, keyring.Soon},
		{365 * day, 0, keyring.Over},
		{365 * day, -day, keyring.Over},
		{365 * day, 366 * day, keyring.Early},
		{90 * day, 23 * day, keyring.Valid},
		{90 * day, 22 * day, keyring.Soon},
		{hour, 16 * time.Minute, keyring.Valid},
		{hour, 14 * time.Minute, keyring.Soon},
	} {
		f := keyring.Fact{NotBefore: now.Add(tt.left - tt.life), NotAfter: now.Add(tt.left)}
		if got := f.At(now); got != tt.want {
			t.Errorf("of %v %v are left: %v, want %v", tt.life, tt.left, got, tt.want)
		}
	}
}
