package process

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Every mistake in the block is told at once, with its key.
func TestConfigMistakes(t *testing.T) {
	serve := []string{"python3", "server.py", "{socket}"}
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"a socket as an argument", Config{Command: serve, Replicas: 2}, nil},
		{"none run, by choice", Config{Command: serve}, nil},
		{"a port within a variable", Config{Command: []string{"serve"}, Env: map[string]string{"BIND": "127.0.0.1:{port}"}}, nil},
		{"the same twice", Config{Command: []string{"serve", "{port}", "--name=x{port}"}}, nil},
		{"no command", Config{}, []string{"command: no command is given"}},
		{"nowhere to serve", Config{Command: []string{"serve"}}, []string{"command: neither {socket} nor {port} is given: the command has to be told where to serve"}},
		{"two places", Config{Command: []string{"serve", "{port}"}, Env: map[string]string{"S": "{socket}"}},
			[]string{"command: {socket} and {port} are both given; a replica serves at one of them"}},
		{"all at once", Config{Command: serve, Replicas: -1, Env: map[string]string{"A=B": ""}, StartTimeout: -time.Minute},
			[]string{"replicas: -1 is not between 0 and 1000", `env: "A=B" cannot be the name of a variable`, "start_timeout: -1m0s is negative"}},
		{"too many", Config{Command: serve, Replicas: 1001}, []string{"replicas: 1001 is not between 0 and 1000"}},
	} {
		var got []string
		for _, m := range c.cfg.Mistakes() {
			got = append(got, m.Key+": "+m.Text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// New tells what is missing, and of a user that there is not.
func TestNewRefuses(t *testing.T) {
	good := Options{
		Name: "users", State: t.TempDir(), OnEndpoints: func([]rpc.Endpoint) {},
		Probe: func(context.Context, string) error { return nil },
	}
	cfg := Config{Command: []string{"serve", "{socket}"}}
	change := func(f func(*Options)) Options { o := good; f(&o); return o }
	for _, c := range []struct {
		cfg  Config
		opts Options
		want string // "" for none
	}{
		{cfg, good, ""},
		{Config{}, good, "run: command: no command is given"},
		{cfg, change(func(o *Options) { o.Name = "../x" }), `run: the name "../x" cannot be part of a file name`},
		{cfg, change(func(o *Options) { o.State = "" }), "run: no state folder is given"},
		{cfg, change(func(o *Options) { o.Probe = nil }), "run: options Probe and OnEndpoints have to be given"},
		{Config{Command: cfg.Command, User: "no such user"}, good, "run: user: user: unknown user no such user"},
	} {
		_, err := New(c.cfg, c.opts)
		if got := strings.TrimSuffix(fmt.Sprint(err), "<nil>"); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// The placeholders are filled in in arguments and in variables, and a variable of the block goes over one of this process.
func TestFill(t *testing.T) {
	t.Setenv("LEVEL", "quiet")
	cfg := Config{Command: []string{"serve", "--at={socket}", "{replica}"}, Env: map[string]string{"LEVEL": "loud", "ME": "r{replica}"}}
	sp := cfg.fill(3, "unix:/run/a-3.sock", nil)
	if want := []string{"serve", "--at=/run/a-3.sock", "3"}; !slices.Equal(sp.args, want) {
		t.Errorf("arguments %q, want %q", sp.args, want)
	}
	if n := len(sp.env); n < 2 || sp.env[n-2] != "LEVEL=loud" || sp.env[n-1] != "ME=r3" {
		t.Errorf("the variables end with %q", sp.env[max(0, len(sp.env)-2):])
	}
	ported := Config{Command: []string{"serve", ":{port}"}}
	if got := ported.fill(1, "127.0.0.1:4711", nil).args[1]; got != ":4711" {
		t.Errorf("port filled in as %q, want :4711", got)
	}
}
