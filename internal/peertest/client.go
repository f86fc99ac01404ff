package peertest

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/transport"
)

// Crash says what a caller gets when a handler raises what the IDL does not declare.
type Crash string

// The two ways.
const (
	CrashException Crash = "exception" // an INTERNAL_ERROR, on a connection that stays usable: Thriftloom's
	CrashClose     Crash = "close"     // a closed connection: ThriftPy's own
)

// Call runs client.py with all of its cases against the server at address. Each case is a subtest. flags are further ones, of TLS.
func (l Library) Call(t *testing.T, kind transport.Kind, crash Crash, address string, flags ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(l.client(t, kind, crash, address, "all", flags...)), "\n")
	for _, line := range lines {
		verdict, rest, _ := strings.Cut(line, " ")
		name, why, _ := strings.Cut(rest, ": ")
		if verdict != "ok" && verdict != "FAIL" {
			t.Errorf("client.py says %q", line)
			continue
		}
		t.Run(name, func(t *testing.T) {
			if verdict == "FAIL" {
				t.Error(why)
			}
		})
	}
	if len(lines) != cases {
		t.Errorf("client.py ran %d cases, want %d", len(lines), cases)
	}
}

// cases is how many of them client.py has: a run that ended early must not pass.
const cases = 18

func (l Library) client(t *testing.T, kind transport.Kind, crash Crash, address, name string, flags ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{File("client.py"), "--library", l.Name, "--transport", kind.String(), "--crash", string(crash), "--case", name}, flags...)
	cmd := exec.CommandContext(ctx, l.Python, append(args, address)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1 && strings.Contains(string(out), "FAIL")) {
		t.Fatalf("client.py: %v\n%s%s", err, out, stderr.String())
	}
	return string(out)
}

// Refused runs the first case of client.py against a server that does not let it in, and returns the kind of exception that it gets.
func (l Library) Refused(t *testing.T, address string, flags ...string) (kind string) {
	t.Helper()
	out := strings.TrimSpace(l.client(t, transport.Buffered, CrashException, address, "void", flags...))
	text, failed := strings.CutPrefix(out, "FAIL void: ")
	if !failed {
		t.Errorf("client.py says %q", out)
	}
	kind, _, _ = strings.Cut(text, ":")
	return kind
}
