package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/netio"
)

const (
	defaultAdmin   = "127.0.0.1:9091"
	adminTimeout   = 45 * time.Second // a reload may take 30 s
	maxAnswerBytes = 64 << 20         // of an answer; a snapshot of a thousand replicas has less
)

// adminFlags say which gateway is asked.
type adminFlags struct {
	address   string
	tokenFile string
	tls       tlsFlags
}

func (f *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.address, "admin", "", "admin `ADDRESS` of the gateway, https://HOST:PORT for TLS (default $THRIFTLOOM_ADMIN, else "+defaultAdmin+")")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "`file` with the admin token (default: the token in $THRIFTLOOM_TOKEN)")
	_ = cmd.MarkFlagFilename("token-file")
	f.tls.add(cmd, "the gateway")
}

// adminClient asks one gateway.
type adminClient struct {
	address string // as it was given
	scheme  string
	host    string
	token   string
	http    *http.Client
}

func (a *app) adminClient(f *adminFlags) (*adminClient, error) {
	c := &adminClient{address: f.address}
	if c.address == "" {
		c.address, _ = a.env("THRIFTLOOM_ADMIN")
	}
	if c.address == "" {
		c.address = defaultAdmin
	}
	plain, secure := strings.CutPrefix(c.address, "https://")
	plain = strings.TrimSuffix(strings.TrimPrefix(plain, "http://"), "/")
	network, addr, err := netio.ParseAddress(plain)
	if err != nil {
		return nil, usageError("admin %w", err)
	}
	c.host = "localhost"
	if network == "tcp" {
		if addr, err = dialable(addr); err != nil {
			return nil, usageError("admin %w", err)
		}
		c.host = addr
	}
	if c.token, err = a.adminToken(f.tokenFile); err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	c.http, c.scheme = &http.Client{Timeout: adminTimeout, Transport: transport}, "http"
	if secure || f.tls.wanted() {
		c.scheme = "https"
		if err := f.tls.check(); err != nil {
			return nil, err
		}
		transport.TLSClientConfig, err = f.tls.config(plain)
	}
	return c, err
}

func (a *app) adminToken(file string) (string, error) {
	if file == "" {
		token, _ := a.env("THRIFTLOOM_TOKEN")
		return token, nil
	}
	return readToken(file)
}

// readToken reads a token from a file, without the space around it.
func readToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("%s: the token is empty", file)
	}
	return token, nil
}

// ask sends one request. The status is that of the answer, whatever it is; an error means that there is none.
func (c *adminClient) ask(ctx context.Context, method, path string) (status int, body []byte, err error) {
	return c.send(ctx, method, path, nil)
}

// send is ask with a body, which may be nil.
func (c *adminClient) send(ctx context.Context, method, path string, sent []byte) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.scheme+"://"+c.host+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("no gateway answers at %s: %w", c.address, errors.Unwrap(err)) // without the URL
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes))
	if err != nil {
		return 0, nil, fmt.Errorf("the answer of %s broke off: %w", c.address, err)
	}
	return answer.StatusCode, body, nil
}

// do is ask for what has to succeed: what the gateway refuses is an error with its words.
func (c *adminClient) do(ctx context.Context, method, path string) ([]byte, error) {
	return c.doWith(ctx, method, path, nil)
}

// doJSON is do with v, nil for nothing, as the body, and reads the answer into what into points to.
func (c *adminClient) doJSON(ctx context.Context, method, path string, v, into any) error {
	var sent []byte
	if v != nil {
		var err error
		if sent, err = json.Marshal(v); err != nil {
			return err
		}
	}
	body, err := c.doWith(ctx, method, path, sent)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s does not answer as a gateway: %w", c.address, err)
	}
	return nil
}

func (c *adminClient) doWith(ctx context.Context, method, path string, sent []byte) ([]byte, error) {
	status, body, err := c.send(ctx, method, path, sent)
	if err != nil || status == http.StatusOK {
		return body, err
	}
	var refusal struct{ Error string }
	if json.Unmarshal(body, &refusal) != nil || refusal.Error == "" {
		refusal.Error = http.StatusText(status)
	}
	return nil, fmt.Errorf("%s refuses: %s (%d)", c.address, refusal.Error, status)
}
