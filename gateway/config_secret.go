package gateway

import (
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/secret"
)

// AdminToken returns what a request to the admin listener has to carry, "" where the file names none. It reads token_file anew each
// time, without the space around the token; an error names the file and never the secret.
func (c *Config) AdminToken() (string, error) {
	if c.Admin.TokenFile == "" {
		return c.Admin.Token, nil
	}
	path := c.Admin.TokenFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.Resolved.Path), path)
	}
	token, err := secret.Read(path)
	return strings.TrimSpace(token), err
}

// secretFile checks a key that names the file of a secret, written as text: that it can be read, and who else may read it.
func (l *loader) secretFile(node *yaml.Node, key, text string) {
	path := l.abs(text)
	switch _, err := secret.Read(path); {
	case err != nil:
		l.Addf(node, key, "%s: %v", text, cause(err))
	case secret.Exposed(path):
		l.warnf(node, key, "every user of this machine may read %s: chmod o-r", text)
	}
	l.files, l.secrets = with(l.files, path), with(l.secrets, path)
}
