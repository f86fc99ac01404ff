package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/secret"
)

// The token comes from the file or from token_file beside it, without the space around it; what cannot be one is an error by name.
func TestAdminToken(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"token": " s3cret\n", "empty": "\n", "space": " \t\n", "long": strings.Repeat("s", secret.MaxBytes+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, want, err string
		admin           Admin
	}{
		{name: "none"},
		{name: "in the file", admin: Admin{Token: "plain"}, want: "plain"},
		{name: "beside it", admin: Admin{TokenFile: "token"}, want: "s3cret"},
		{name: "absolute", admin: Admin{TokenFile: filepath.Join(dir, "token")}, want: "s3cret"},
		{name: "missing", admin: Admin{TokenFile: "none"}, err: "no such file"},
		{name: "empty", admin: Admin{TokenFile: "empty"}, err: "the file is empty"},
		{name: "space", admin: Admin{TokenFile: "space"}, err: "the file is empty"}, // and not a listener that wants no token
		{name: "long", admin: Admin{TokenFile: "long"}, err: "the file is longer than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := &Config{Admin: c.admin, Resolved: Resolved{Path: filepath.Join(dir, "thriftloom.yaml")}}
			got, err := cfg.AdminToken()
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}
