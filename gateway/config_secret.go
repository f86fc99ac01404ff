package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/secret"
)

// maxSecretBytes bounds a file that holds one secret.
const maxSecretBytes = 64 << 10

// AdminToken returns what a request to the admin listener has to carry, "" where the file names none. It reads token_file anew each
// time; an error names the file and never the secret.
func (c *Config) AdminToken() (string, error) {
	if c.Admin.TokenFile == "" {
		return c.Admin.Token, nil
	}
	path := c.Admin.TokenFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.Resolved.Path), path)
	}
	return readSecret(path)
}

// readSecret returns the text of a file without the space around it.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	secret := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxSecretBytes:
		return "", &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("the file is longer than %d bytes", maxSecretBytes)}
	case secret == "":
		return "", &os.PathError{Op: "read", Path: path, Err: errors.New("the file is empty")}
	}
	return secret, nil
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
