package keyring

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"sync/atomic"
)

// Source is material that follows its files. Make one with Open. Safe for concurrent use.
type Source struct {
	files   Files
	minimum uint16
	current atomic.Pointer[held]

	mu      sync.Mutex        // one Refresh at a time
	tried   [sha256.Size]byte // what was read last
	problem error
}

// held is material with the config that listeners make of it. One config for all connections lets callers resume their sessions; a new
// one for new material makes them show their certificates again.
type held struct {
	*Material
	server *tls.Config
}

// Open reads the files. minimum is the least version of TLS that is spoken: tls.VersionTLS12 or above. The error is a *FileError.
func Open(files Files, minimum uint16) (*Source, error) {
	data, err := readAll(files)
	if err != nil {
		return nil, err
	}
	m, err := parse(files, data)
	if err != nil {
		return nil, err
	}
	s := &Source{files: files, minimum: minimum, tried: data.hash(files)}
	s.hold(m)
	return s, nil
}

// Files returns the paths.
func (s *Source) Files() Files { return s.files }

// Minimum returns the least version.
func (s *Source) Minimum() uint16 { return s.minimum }

// Material returns what is in force.
func (s *Source) Material() *Material { return s.current.Load().Material }

// Problem returns why what the files hold now is not in force, nil where it is.
func (s *Source) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

// Refresh reads the files. changed says that their material has come into force, which holds for connections from now on. What is broken
// is not taken: the error says so, each time that something else is broken, and once while it stays so.
func (s *Source) Refresh() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := readAll(s.files)
	if err != nil {
		return false, s.fail(err)
	}
	read := data.hash(s.files)
	if read == s.tried {
		return false, s.again(data)
	}
	m, err := parse(s.files, data)
	if err != nil {
		// A certificate and its key are two files: read between the writing of the one and that of the other they do not fit.
		if data, err = readAll(s.files); err == nil {
			read = data.hash(s.files)
			m, err = parse(s.files, data)
		}
	}
	if err != nil {
		s.tried = read
		return false, s.fail(err)
	}
	s.tried, s.problem = read, nil
	s.hold(m)
	return true, nil
}

// fail notes why the files are not in force, and returns that where it is new.
func (s *Source) fail(err error) error {
	known := s.problem != nil && s.problem.Error() == err.Error()
	s.problem = err
	if known {
		return nil
	}
	return err
}

// again follows a read that found what was there the last time: a file that could not be read for a while is no problem any more.
func (s *Source) again(data contents) error {
	if s.problem == nil {
		return nil
	}
	m, err := parse(s.files, data)
	if err != nil {
		return s.fail(err)
	}
	s.problem = nil
	s.hold(m)
	return nil
}

func (s *Source) hold(m *Material) {
	c := &tls.Config{Certificates: m.Certificates, MinVersion: s.minimum}
	if m.CAs != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, m.CAs
	}
	s.current.Store(&held{Material: m, server: c})
}

// Server returns the config of a listener for one connection: its certificates, chosen by the name that the caller asks for, and, where
// authorities are named, the demand for a certificate of theirs. Do not change it.
func (s *Source) Server() *tls.Config { return s.current.Load().server }

// Client returns the config of a connection to the server of a name: its certificate has to be signed by the named authorities, the
// system's where none are, and to be for the name; chainOnly lets it be for any.
func (s *Source) Client(name string, chainOnly bool) *tls.Config {
	m := s.Material()
	c := &tls.Config{MinVersion: s.minimum, RootCAs: m.CAs, ServerName: name}
	if len(m.Certificates) > 0 {
		// Whoever the server trusts: it says so in its refusal, which is clearer than a connection without a certificate.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &m.Certificates[0], nil }
	}
	if chainOnly {
		c.InsecureSkipVerify = true // of the name; the chain is verified here
		c.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, m.CAs) }
	}
	return c
}

// verifyChain checks that the server's certificate is signed by roots, whatever it is for.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}
