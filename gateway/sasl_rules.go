package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/internal/secret"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/transport"
)

// users are who may log in at a listener, by name, with their passwords' hashes: a comparison takes the same time over any of them. nil:
// nobody is asked. Not changed once it is made.
type users map[string][sha256.Size]byte

// accepts reports whether somebody may come in.
func (u users) accepts(who netio.Credentials) bool {
	want, known := u[who.User]
	got := sha256.Sum256([]byte(who.Password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && known
}

// asks is what a listener asks whoever calls; nil: nothing.
func (u users) asks() func(netio.Credentials) bool {
	if u == nil {
		return nil
	}
	return u.accepts
}

// parseUsers reads what stands in a file of users. An error shows nothing of it.
func parseUsers(text string) (users, error) {
	all, number := users{}, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, password, ok := strings.Cut(line, ":")
		_, twice := all[user]
		switch {
		case !ok || user == "" || password == "":
			return nil, fmt.Errorf("line %d: want user:password", number)
		case len(user) > 255 || len(password) > 255 || strings.Contains(line, "\x00"):
			return nil, fmt.Errorf("line %d: a user or a password has more than 255 bytes, or a NUL", number)
		case twice:
			return nil, fmt.Errorf("line %d: its user stands above already", number)
		}
		all[user] = sha256.Sum256([]byte(password))
	}
	if len(all) == 0 {
		return nil, errors.New("no user stands in it")
	}
	return all, nil
}

// serverSASL resolves who may log in at a listener; nil where nobody is asked. Where that cannot be told nobody may.
func (l *loader) serverSASL(s *ServerSASL, secure bool) users {
	node, key := s.at.node, s.at.key
	switch {
	case s.at.node == nil:
		return nil
	case l.told(key):
		return users{}
	case !s.at.written():
		l.Addf(node, key, "is empty: users_file is missing")
		return users{}
	}
	if s.UsersFile == "" {
		if !l.told(key + ".users_file") {
			l.Addf(node, key+".users_file", "is missing: a file with a line user:password for each user")
		}
		return users{}
	}
	at, key := strictyaml.At(node, "users_file"), key+".users_file"
	l.secretFile(at, key, s.UsersFile)
	if l.told(key) {
		return users{}
	}
	text, err := secret.Read(l.abs(s.UsersFile))
	if err == nil {
		var all users
		if all, err = parseUsers(text); err == nil {
			l.warnOpenPassword(at, key, secure)
			return all
		}
	}
	l.Addf(at, key, "%s: %v", s.UsersFile, err)
	return users{}
}

// loginPlan is a login at an upstream as the config has it. Not changed once it is made.
type loginPlan struct {
	user string
	file string // of the password, absolute
}

// equal reports whether connections of one plan are as the other wants; nil is no login.
func (p *loginPlan) equal(o *loginPlan) bool {
	if p == nil || o == nil {
		return p == o
	}
	return *p == *o
}

// clientSASL resolves the login at an upstream; nil where there is none.
func (l *loader) clientSASL(c *ClientSASL, p *upstreamPlan) *loginPlan {
	node, key := c.at.node, c.at.key
	if !c.at.written() || l.told(key) {
		return nil
	}
	if p.cluster.Wire.Kind == transport.HTTP {
		l.Addf(node, key, "is not spoken over http")
	}
	switch {
	case c.User == "" && !l.told(key+".user"):
		l.Addf(node, key+".user", "is missing")
	case len(c.User) > 255 || strings.Contains(c.User, "\x00"):
		l.Addf(strictyaml.At(node, "user"), key+".user", "has more than 255 bytes, or a NUL")
	}
	if c.PasswordFile == "" {
		if !l.told(key + ".password_file") {
			l.Addf(node, key+".password_file", "is missing")
		}
		return nil
	}
	at := strictyaml.At(node, "password_file")
	l.secretFile(at, key+".password_file", c.PasswordFile)
	l.warnOpenPassword(at, key+".password_file", p.tls != nil || overUnix(p))
	return &loginPlan{c.User, l.abs(c.PasswordFile)}
}

// overUnix reports whether all endpoints are on this machine, where nobody is on the way.
func overUnix(p *upstreamPlan) bool {
	if p.source != nil {
		return false
	}
	for _, e := range p.endpoints {
		if !strings.HasPrefix(e.Address, "unix:") {
			return false
		}
	}
	return true
}

func (l *loader) warnOpenPassword(node *yaml.Node, key string, secure bool) {
	if !secure {
		l.warnf(node, key, "passwords of SASL PLAIN can be read on the way: tls is missing beside sasl")
	}
}

// dialer returns what logs in on connections that dial makes.
func (p *loginPlan) dialer(dial client.Dialer) client.Dialer {
	if p == nil {
		return dial
	}
	return client.LoginDialer(dial, func() (netio.Credentials, error) {
		password, err := secret.Read(p.file)
		return netio.Credentials{User: p.user, Password: password}, err
	})
}

// explain is what is said of the login at an address in a line.
func (u users) explain() string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf(", SASL PLAIN of %d users", len(u))
}

// explain is what is said of the login at an address in a line.
func (p *loginPlan) explain() string {
	if p == nil {
		return ""
	}
	return ", SASL PLAIN as " + p.user
}
