// Package keyring keeps the certificates and keys of TLS: read from files, read anew when those change, the last good ones kept where
// what is there now is broken.
package keyring

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// maxFileBytes bounds one file: a bundle of every public authority has a quarter of it.
const maxFileBytes = 1 << 20

// Pair names a certificate, with the chain below it, and its key, both files in PEM. One file may hold both.
type Pair struct{ Cert, Key string }

// Files name what one side of TLS has.
type Files struct {
	Pairs []Pair // what it shows; the first to whoever asks for no name
	CA    string // who may sign the other side's certificates; "" leaves it to the side's default
}

// All returns the paths.
func (f Files) All() (paths []string) {
	for _, p := range f.Pairs {
		paths = append(paths, p.Cert, p.Key)
	}
	if f.CA != "" {
		paths = append(paths, f.CA)
	}
	return slices.Compact(paths)
}

// Equal reports whether both name the same files.
func (f Files) Equal(o Files) bool { return f.CA == o.CA && slices.Equal(f.Pairs, o.Pairs) }

// FileError is what is wrong with one file. Its text has no byte of the file.
type FileError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// Material is what the files held at one moment. Immutable.
type Material struct {
	Certificates []tls.Certificate
	CAs          *x509.CertPool // nil: none are named
	Facts        []Fact
	Read         time.Time
}

// Fact is what is known of the certificates of one file.
type Fact struct {
	File  string
	CA    bool     // they are those of authorities
	Names []string // what the certificate is for; of authorities their names
	// NotBefore and NotAfter bound the time in which it is valid: of a chain the time in which all of it is, of authorities that in which
	// one of them is.
	NotBefore, NotAfter time.Time
}

// Read reads the files. The error is a *FileError.
func Read(f Files) (*Material, error) {
	data, err := readAll(f)
	if err != nil {
		return nil, err
	}
	return parse(f, data)
}

// contents are files by path.
type contents map[string][]byte

func readAll(f Files) (contents, error) {
	data := contents{}
	for _, path := range f.All() {
		text, err := readFile(path)
		if err != nil {
			return nil, &FileError{path, err}
		}
		data[path] = text
	}
	return data, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("the file is longer than %d bytes", maxFileBytes)
	}
	return text, plain(err)
}

// plain is err without the path, which FileError has.
func plain(err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// hash names what was read, to tell whether it has changed.
func (c contents) hash(f Files) [sha256.Size]byte {
	h := sha256.New()
	for _, path := range f.All() {
		fmt.Fprintf(h, "%q %d\n", path, len(c[path]))
		h.Write(c[path])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func parse(f Files, data contents) (*Material, error) {
	m := &Material{Read: time.Now()}
	for _, p := range f.Pairs {
		pair, fact, err := parsePair(p, data[p.Cert], data[p.Key])
		if err != nil {
			return nil, err
		}
		m.Certificates = append(m.Certificates, pair)
		m.Facts = append(m.Facts, fact)
	}
	if f.CA != "" {
		pool, fact, err := parseCAs(f.CA, data[f.CA])
		if err != nil {
			return nil, err
		}
		m.CAs = pool
		m.Facts = append(m.Facts, fact)
	}
	return m, nil
}

func parsePair(p Pair, cert, key []byte) (tls.Certificate, Fact, error) {
	var none tls.Certificate
	chain, err := parseCerts(cert)
	if err != nil {
		return none, Fact{}, &FileError{p.Cert, err}
	}
	if err := checkKey(key); err != nil {
		return none, Fact{}, &FileError{p.Key, err}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return none, Fact{}, &FileError{p.Key, explain(err, p.Cert)}
	}
	fact := Fact{File: p.Cert, Names: Names(chain[0]), NotBefore: chain[0].NotBefore, NotAfter: chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotAfter.Before(fact.NotAfter) {
			fact.NotAfter = c.NotAfter
		}
	}
	return pair, fact, nil
}

// checkKey says what package tls says less clearly.
func checkKey(text []byte) error {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case strings.Contains(block.Type, "ENCRYPTED"), strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return errors.New("the key is encrypted: a key without a passphrase is wanted")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil
		}
	}
	return errors.New("no private key in PEM")
}

func explain(err error, cert string) error {
	if strings.Contains(err.Error(), "private key does not match public key") || strings.Contains(err.Error(), "private key type does not match") {
		return fmt.Errorf("the key is not that of the certificate in %s", cert)
	}
	return errors.New("the private key cannot be read")
}

// parseCerts returns the certificates of a PEM file, one at least.
func parseCerts(text []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return all, nil
}

func parseCAs(path string, text []byte) (*x509.CertPool, Fact, error) {
	all, err := parseCerts(text)
	if err != nil {
		return nil, Fact{}, &FileError{path, err}
	}
	pool, fact := x509.NewCertPool(), Fact{File: path, CA: true, NotBefore: all[0].NotBefore}
	for _, c := range all {
		pool.AddCert(c)
		if len(fact.Names) < maxNames {
			fact.Names = append(fact.Names, c.Subject.String())
		}
		if c.NotAfter.After(fact.NotAfter) {
			fact.NotBefore, fact.NotAfter = c.NotBefore, c.NotAfter
		}
	}
	return pool, fact, nil
}

// Leaf returns the first certificate of a file.
func Leaf(path string) (*x509.Certificate, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, &FileError{path, err}
	}
	all, err := parseCerts(text)
	if err != nil {
		return nil, &FileError{path, err}
	}
	return all[0], nil
}

// maxNames bounds the names of one certificate that are shown.
const maxNames = 16

// Names returns what a certificate is for: URIs, host names and addresses, or the subject's common name where it has none of them.
func Names(c *x509.Certificate) (names []string) {
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = []string{c.Subject.CommonName}
	}
	return names[:min(len(names), maxNames)]
}
