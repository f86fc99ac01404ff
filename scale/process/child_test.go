//go:build unix

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/thriftloom/thriftloom/rpc"
	"go.uber.org/goleak"
)

// The test's own binary is the command that replicas run: childKind says what it does.
const childKind = "THRIFTLOOM_TEST_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(childKind); kind != "" {
		_ = os.Unsetenv(childKind)
		child(kind, os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// child is one of:
//
//	serve AT          greets whoever connects with its process id, and holds the connection
//	stubborn AT       the same, and ignores SIGTERM
//	parent AT OTHER   serves at AT, and has a stubborn child of its own that serves at OTHER
//	broken            says why and exits
//	gateway STATE     runs a set of one "serve" and prints its address; with a further argument one that can be adopted
func child(kind string, args []string) {
	switch kind {
	case "serve":
		serve(args[0])
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		serve(args[0])
	case "parent":
		own := exec.Command(os.Args[0], args[1])
		own.Env = append(os.Environ(), childKind+"=stubborn")
		own.Stdout = os.Stdout
		if err := own.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		serve(args[0])
	case "broken":
		fmt.Println("Traceback (most recent call last):\nImportError: no module named users")
		os.Exit(3)
	case "gateway":
		gateway(args[0], len(args) > 1)
	}
}

func serve(at string) {
	network := "tcp"
	if strings.Contains(at, "/") {
		network = "unix"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("serving %s, mood %s\n", network, os.Getenv("MOOD"))
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		_, _ = fmt.Fprintf(c, "%d\n", os.Getpid())
	}
}

func gateway(state string, adopt bool) {
	cfg := command(1, "serve", "{socket}")
	cfg.Adopt = adopt
	set, err := New(cfg, Options{
		Name: "g", State: state, Probe: greets, Output: os.Stderr,
		OnEndpoints: func(list []rpc.Endpoint) { fmt.Println(list[0].Address) },
	})
	if err == nil {
		err = set.Run(context.Background())
	}
	fmt.Println(err)
}

// command returns the run block for a child.
func command(replicas int, kind string, args ...string) Config {
	return Config{Command: append([]string{os.Args[0]}, args...), Env: map[string]string{childKind: kind}, Replicas: replicas}
}

// dial connects to a child. The returned reader has read the greeting; what comes next is the end, when the child has ended.
func dial(ctx context.Context, address string) (net.Conn, *bufio.Reader, string, error) {
	network, at := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, at = "unix", path
	}
	c, err := new(net.Dialer).DialContext(ctx, network, at)
	if err != nil {
		return nil, nil, "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	r := bufio.NewReader(c)
	pid, err := r.ReadString('\n')
	if !stop() || err != nil {
		_ = c.Close()
		return nil, nil, "", errors.Join(err, ctx.Err())
	}
	return c, r, strings.TrimSpace(pid), nil
}

func greets(ctx context.Context, address string) error {
	c, _, _, err := dial(ctx, address)
	if err == nil {
		_ = c.Close()
	}
	return err
}
