package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check --against fails on what breaks for programs that know the services of another config, each with its place, and not on what both have
// or what is new.
func TestCheckAgainst(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"old/users.thrift":    "service Users { string get(1: i32 id), void gone() }",
		"old/thriftloom.yaml": configOf("Users"),
		"new/users.thrift":    "service Users { string get(1: i64 id), void more() }",
		"new/thriftloom.yaml": configOf("Users", "More"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	got := runIn("", []string{"check", "-c", "new/thriftloom.yaml", "--against", "old/thriftloom.yaml"})
	want := "new/users.thrift:1:9: services.Users.idl: Users would lose gone\n" +
		"new/users.thrift:1:35: services.Users.idl: argument 1 id of get was i32 and is i64\n"
	if got.code != 1 || got.out != want {
		t.Errorf("%+v, want %s", got, want)
	}
	if got := runIn("", []string{"check", "-c", "new/thriftloom.yaml", "--against", "old/thriftloom.yaml", "-o", "json"}); got.code != 1 ||
		!strings.Contains(got.out, `"breaks": [`) || !strings.Contains(got.out, `"ok": false`) {
		t.Errorf("%+v", got)
	}
	if got := runIn("", []string{"check", "-c", "new/thriftloom.yaml", "--against", "new/thriftloom.yaml"}); got.code != 0 || got.out != "ok: 2 services\n" {
		t.Errorf("against itself: %+v", got)
	}
	if got := runIn("", []string{"check", "-c", "new/thriftloom.yaml", "--against", "absent.yaml"}); got.code != 1 || !strings.Contains(got.errout, "absent.yaml:1:1: file: no such file") {
		t.Errorf("against nothing: %+v", got)
	}
}

// configOf is a config of services by these labels, all of the same IDL.
func configOf(labels ...string) string {
	text := "listen: {address: \"127.0.0.1:9090\", default: Users}\nservices:\n"
	for _, l := range labels {
		text += "  " + l + ": {idl: users.thrift, service: Users, timeout: 1s, upstream: {endpoints: [\"127.0.0.1:6000\"]}}\n"
	}
	return text
}
