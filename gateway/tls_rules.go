package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/internal/secret"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// tlsPlan is one side's TLS as the config has it. Not changed once it is made.
type tlsPlan struct {
	files      keyring.Files
	minimum    uint16
	serverName string // of upstreams; "" for the host of each address
	chainOnly  bool   // of upstreams: the name is not verified
}

// equal reports whether connections of one plan are as the other wants; nil is no TLS.
func (p *tlsPlan) equal(o *tlsPlan) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.files.Equal(o.files) && p.minimum == o.minimum && p.serverName == o.serverName && p.chainOnly == o.chainOnly
}

// written reports whether a block stands in the file.
func (p place) written() bool { return p.node != nil && p.node.ShortTag() != "!!null" }

func minimumVersion(text string) uint16 {
	if text == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// serverTLS resolves the TLS of a listener; nil where it speaks none.
func (l *loader) serverTLS(s *ServerTLS) *tlsPlan {
	node, key := s.at.node, s.at.key
	if !s.at.written() {
		return nil
	}
	f := keyFiles{loader: l}
	if s.CertFile == "" && len(s.Certificates) == 0 && s.KeyFile == "" && !l.told(key) {
		l.Addf(node, key+".cert_file", "is missing: a listener needs a certificate")
	}
	if s.CertFile != "" || s.KeyFile != "" {
		f.pair(node, key, s.CertFile, s.KeyFile)
	}
	list := strictyaml.Find(node, "certificates")
	for i, c := range s.Certificates {
		f.pair(list.Content[i], fmt.Sprintf("%s.certificates[%d]", key, i), c.CertFile, c.KeyFile)
	}
	f.authorities(node, key, "client_ca_file", s.ClientCAFile)
	f.read(key)
	return &tlsPlan{files: f.files, minimum: minimumVersion(s.MinVersion)}
}

// clientTLS resolves the TLS of an upstream; nil where its servers speak none.
func (l *loader) clientTLS(c *ClientTLS) *tlsPlan {
	node, key := c.at.node, c.at.key
	if !c.at.written() {
		return nil
	}
	f := keyFiles{loader: l}
	if c.CertFile != "" || c.KeyFile != "" {
		f.pair(node, key, c.CertFile, c.KeyFile)
	}
	f.authorities(node, key, "ca_file", c.CAFile)
	f.read(key)
	return &tlsPlan{files: f.files, minimum: minimumVersion(c.MinVersion), serverName: c.ServerName, chainOnly: c.Verify == "chain"}
}

// keyFiles gathers the files of one block, and remembers which key named each.
type keyFiles struct {
	*loader
	files keyring.Files
	named []named
	holes bool // a file is not named
}

// named is a file by the key that names it.
type named struct {
	path, text string // absolute, and as it was written
	node       *yaml.Node
	key        string
	secret     bool
}

func (f *keyFiles) pair(node *yaml.Node, key, cert, private string) {
	for _, x := range []struct{ name, text string }{{"cert_file", cert}, {"key_file", private}} {
		if x.text == "" {
			f.holes = true
			if !f.told(key + "." + x.name) {
				f.Addf(node, key+"."+x.name, "is missing: a certificate and its key go together")
			}
			continue
		}
		f.name(node, key, x.name, x.text)
	}
	f.files.Pairs = append(f.files.Pairs, keyring.Pair{Cert: f.abs(cert), Key: f.abs(private)})
}

func (f *keyFiles) authorities(node *yaml.Node, key, name, text string) {
	if text != "" {
		f.name(node, key, name, text)
		f.files.CA = f.abs(text)
	}
}

func (f *keyFiles) name(node *yaml.Node, key, name, text string) {
	at := named{f.abs(text), text, strictyaml.At(node, name), key + "." + name, name == "key_file"}
	f.named = append(f.named, at)
	f.loader.files = with(f.loader.files, at.path)
	f.secrets = with(f.secrets, at.path)
	if at.secret && secret.Exposed(at.path) {
		f.warnf(at.node, at.key, "every user of this machine may read %s: chmod o-r", text)
	}
}

// read looks into the files. What is broken is a mistake, unless the gateway that runs has a good version of it, with which it goes on.
func (f *keyFiles) read(key string) {
	if f.holes || f.told(key) {
		return
	}
	m, err := keyring.Read(f.files)
	if err != nil {
		of := f.named[0]
		var at *keyring.FileError
		if errors.As(err, &at) {
			i := slices.IndexFunc(f.named, func(n named) bool { return n.path == at.Path })
			of, err = f.named[max(i, 0)], at.Err
		}
		if f.holds != nil && f.holds(f.files) {
			f.warnf(of.node, of.key, "%s: %v: what was good before stays in force", of.text, err)
			return
		}
		f.Addf(of.node, of.key, "%s: %v", of.text, err)
		return
	}
	now := time.Now()
	for _, fact := range m.Facts {
		i := slices.IndexFunc(f.named, func(n named) bool { return n.path == fact.File })
		switch of, state := f.named[max(i, 0)], fact.At(now); state {
		case keyring.Valid:
		case keyring.Soon:
			f.warnf(of.node, of.key, "%s expires on %s", of.text, fact.NotAfter.UTC().Format(time.DateTime))
		case keyring.Over:
			f.warnf(of.node, of.key, "%s has expired on %s", of.text, fact.NotAfter.UTC().Format(time.DateTime))
		case keyring.Early:
			f.warnf(of.node, of.key, "%s is not valid before %s", of.text, fact.NotBefore.UTC().Format(time.DateTime))
		}
	}
}

// explain is what is said of the TLS of an address in a line.
func (p *tlsPlan) explain() string {
	if p == nil {
		return ""
	}
	what := ", TLS"
	if len(p.files.Pairs) > 0 {
		what += " as " + filepath.Base(p.files.Pairs[0].Cert)
	}
	if p.files.CA != "" {
		what += " with peers of " + filepath.Base(p.files.CA)
	}
	return what
}
