package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/netio"
)

// tlsFlags say how TLS is spoken to a server.
type tlsFlags struct {
	on         bool
	ca         string
	cert, key  string
	serverName string
}

// add adds the flags to cmd. what is the server that they are about.
func (f *tlsFlags) add(cmd *cobra.Command, what string) {
	flags := cmd.Flags()
	flags.StringVar(&f.ca, "cacert", "", "`file` of who may sign the certificate of "+what+" (default: the system's authorities)")
	flags.StringVar(&f.cert, "cert", "", "`file` of your own certificate")
	flags.StringVar(&f.key, "key", "", "`file` of its key")
	flags.StringVar(&f.serverName, "servername", "", "`name` that the certificate has to be for (default: the host of the address)")
	for _, name := range []string{"cacert", "cert", "key"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

// wanted reports whether a flag asks for TLS: those that say how, say that.
func (f *tlsFlags) wanted() bool { return f.on || f.ca != "" || f.cert != "" || f.serverName != "" }

// check refuses what cannot be meant.
func (f *tlsFlags) check() error {
	if (f.cert == "") != (f.key == "") {
		return usageError("--cert and --key go together")
	}
	return nil
}

// open reads the files.
func (f *tlsFlags) open() (*keyring.Source, error) {
	files := keyring.Files{CA: f.ca}
	if f.cert != "" {
		files.Pairs = []keyring.Pair{{Cert: f.cert, Key: f.key}}
	}
	return keyring.Open(files, tls.VersionTLS12)
}

// config returns what speaks to the server at address. Over a unix socket, which has no name, any certificate of an authority will do.
func (f *tlsFlags) config(address string) (*tls.Config, error) {
	keys, err := f.open()
	if err != nil {
		return nil, err
	}
	name := f.serverName
	if network, addr, err := netio.ParseAddress(address); name == "" && err == nil && network == "tcp" {
		name, _, _ = net.SplitHostPort(addr)
	}
	return keys.Client(name, name == ""), nil
}

// dialer returns what makes the connections of a call; nil for plain ones.
func (f *tlsFlags) dialer(address string) (client.Dialer, error) {
	if !f.wanted() {
		return nil, nil
	}
	config, err := f.config(address)
	if err != nil {
		return nil, err
	}
	return client.TLSDialer(nil, func(string) *tls.Config { return config }), nil
}

// listenerDialer is dialer for a listener of a config; nil where it speaks no TLS. Without --cacert the certificate has to be one of those
// that the config names: it is the gateway that is meant, whoever has signed for it.
func (f *tlsFlags) listenerDialer(file string, l *gateway.Listener, address string) (client.Dialer, error) {
	certs := []string{l.TLS.CertFile}
	for _, c := range l.TLS.Certificates {
		certs = append(certs, c.CertFile)
	}
	switch {
	case l.TLS.CertFile == "" && len(l.TLS.Certificates) == 0:
		if f.wanted() {
			return nil, usageError("%s speaks no TLS", address)
		}
		return nil, nil
	case l.TLS.ClientCAFile != "" && f.cert == "":
		return nil, usageError("%s asks callers for a certificate: --cert and --key", address)
	case f.ca != "":
		return f.dialer(address)
	}
	known, err := leaves(file, certs)
	if err != nil {
		return nil, err
	}
	config, err := f.config(address)
	if err != nil {
		return nil, err
	}
	config.InsecureSkipVerify = true // it is compared with those that are known
	config.VerifyConnection = func(state tls.ConnectionState) error {
		for _, cert := range known {
			if bytes.Equal(cert, state.PeerCertificates[0].Raw) {
				return nil
			}
		}
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: errNotInConfig}
	}
	return client.TLSDialer(nil, func(string) *tls.Config { return config }), nil
}

var errNotInConfig = errors.New("it is none of those that the config names: does another process serve there, or has it been renewed a moment ago?")

// leaves returns the certificates in files that stand in a config file, without their chains.
func leaves(config string, files []string) (all [][]byte, err error) {
	for _, f := range files {
		if f == "" {
			continue
		}
		leaf, err := keyring.Leaf(beside(config, f))
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		all = append(all, leaf.Raw)
	}
	return all, nil
}
