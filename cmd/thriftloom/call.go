package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/internal/secret"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// maxInputBytes bounds the arguments as JSON: the longest message has less, whatever is in it.
const maxInputBytes = 64 << 20

// callFlags are the flags of call.
type callFlags struct {
	idl         idlFlags
	config      string
	transport   *choice
	protocol    *choice
	multiplexed bool
	timeout     time.Duration
	headers     []string
	data        string
	empty       bool
	tls         tlsFlags
	user        string
	password    string // its file
}

// callPlan is one call, ready to be sent.
type callPlan struct {
	address  string
	method   *schema.Method
	wireName string           // the method's name in the message
	kinds    []transport.Kind // to try, in this order; a single one is not probed
	protocol wire.Protocol
	headers  []transport.KV
	dial     client.Dialer // nil: plain connections
	timeout  time.Duration // of all that is done
	body     []byte
}

func (a *app) newCall() *cobra.Command {
	f := &callFlags{}
	cmd := &cobra.Command{
		Use: "call ADDRESS SERVICE.METHOD [ARGUMENTS]", Short: "Call a method of any Thrift server", Args: cobra.MaximumNArgs(3),
		Long: `call sends one call and prints the result as JSON. ARGUMENTS is a JSON object by argument names; @file reads it from a file,
- from standard input. SERVICE may be left out where the IDL has one service. ADDRESS is host:port, unix:/path or
http(s)://host:port/path; with -c the config names address, IDL and TLS.

Exit codes: 0 result, 2 wrong usage, 3 declared exception, 4 not reached or timed out, 5 TApplicationException, 1 anything else.`,
		Example: `  thriftloom call -i users.thrift 127.0.0.1:6100 Users.getUser '{"id": 7}'
  thriftloom call -i users.thrift 127.0.0.1:6100 Users.getUser -d @request.json
  thriftloom call -i users.thrift Users.getUser --empty
  thriftloom call -i users.thrift users.internal:6100 Users.getUser --cacert ca.pem --cert me.pem --key me.key
  thriftloom call -c thriftloom.yaml Users.getUser '{"id": 7}'`,
	}
	f.add(cmd, "how long all may take")
	cmd.Flags().BoolVar(&f.empty, "empty", false, "print arguments to fill in, and call nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.call(cmd, f, args) }
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeCall(f, len(args), begun), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// add makes f flags of cmd, but for --empty; timeout says what that one bounds.
func (f *callFlags) add(cmd *cobra.Command, timeout string) {
	f.idl.add(cmd)
	addConfig(cmd, &f.config, "")
	f.transport = (&choice{words: []string{"auto", "buffered", "framed", "header", "http"}}).
		add(cmd, "transport", "", "how messages lie on the connection; auto asks the server whether buffered or framed")
	f.protocol = (&choice{words: []string{"binary", "compact", "json", "apachejson"}}).
		add(cmd, "protocol", "", "encoding; json is ThriftPy's own")
	flags := cmd.Flags()
	flags.BoolVar(&f.multiplexed, "multiplexed", false, "put the service's name before the method's")
	flags.DurationVar(&f.timeout, "timeout", 3*time.Second, timeout)
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "transport header `key=value` (repeatable)")
	flags.StringVarP(&f.data, "data", "d", "", "the arguments: `JSON`, @file, or - for standard input")
	flags.BoolVar(&f.tls.on, "tls", false, "speak TLS; the flags below say so too")
	f.tls.add(cmd, "the server")
	flags.StringVar(&f.user, "user", "", "log in by SASL PLAIN as `name`")
	flags.StringVar(&f.password, "password-file", "", "`file` of its password")
	_ = cmd.MarkFlagFilename("password-file")
}

func (a *app) call(cmd *cobra.Command, f *callFlags, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	p, input, err := a.planCall(f, args)
	if err != nil {
		return err
	}
	if f.empty {
		_, err := fmt.Fprintf(a.stdout, "%s\n", bytes.TrimSpace(codec.Example(codec.TypeOf(p.method.Args))))
		return err
	}
	if err := a.fill(cmd, f, p, input); err != nil {
		return err
	}
	reply, failure := p.send(cmd.Context())
	return a.report(p, reply, failure)
}

// fill makes the body of the call: from input, the arguments behind the method, or from --data.
func (a *app) fill(cmd *cobra.Command, f *callFlags, p *callPlan, input string) (err error) {
	if cmd.Flags().Changed("data") {
		if input != "" {
			return usageError("the arguments are given twice: by --data and behind the method")
		}
		input = f.data
	}
	p.body, err = a.encodeArgs(p.method, p.protocol, input)
	return err
}

// check refuses what cannot be meant.
func (f *callFlags) check() error {
	if err := f.tls.check(); err != nil {
		return err
	}
	for _, h := range f.headers {
		if key, _, ok := strings.Cut(h, "="); !ok || key == "" {
			return usageError("-H %q: want key=value", h)
		}
	}
	switch {
	case (f.user == "") != (f.password == ""):
		return usageError("--user and --password-file go together")
	case f.timeout <= 0:
		return usageError("--timeout %v: want more than 0", f.timeout)
	case f.config != "" && f.idl.path != "":
		return usageError("-c and -i are both given: the config names the IDL")
	case f.config == "" && f.idl.path == "":
		return usageError("which IDL? -i FILE or -c FILE is missing")
	}
	return nil
}

// planCall finds out what is to be called, and where. input is the arguments that stand behind the method, "" for none.
func (a *app) planCall(f *callFlags, args []string) (p *callPlan, input string, err error) {
	p = &callPlan{timeout: f.timeout, kinds: []transport.Kind{transport.Buffered, transport.Framed}}
	if f.config == "" && !(f.empty && len(args) == 1) {
		if len(args) < 2 {
			return nil, "", usageError("want ADDRESS SERVICE.METHOD [ARGUMENTS]")
		}
		if p.address, err = callAddress(args[0]); err != nil {
			return nil, "", err
		}
		args = args[1:]
	}
	if len(args) < 1 || len(args) > 2 {
		return nil, "", usageError("want SERVICE.METHOD [ARGUMENTS]")
	}
	if len(args) == 2 {
		input = args[1]
	}
	if f.config != "" {
		err = a.planFromConfig(p, f.config, &f.tls, args[0])
	} else if err = planFromIDL(p, &f.idl, args[0]); err == nil && !f.empty {
		place, _ := client.ParsePlace(p.address) // it has been read
		f.tls.on = f.tls.on || place.TLS
		p.dial, err = f.tls.dialer(place.Socket)
	}
	if err != nil {
		return nil, "", err
	}
	if f.multiplexed && !strings.Contains(p.wireName, ":") {
		p.wireName = p.method.Service.Name + ":" + p.method.Name
	}
	if f.user != "" {
		p.dial = client.LoginDialer(p.dial, func() (netio.Credentials, error) {
			password, err := secret.Read(f.password)
			return netio.Credentials{User: f.user, Password: password}, err
		})
	}
	return p, input, p.setWire(f)
}

// kindWords and protocolWords are what the flags' words stand for.
var (
	kindWords = map[string]transport.Kind{
		"buffered": transport.Buffered, "framed": transport.Framed, "header": transport.Header, "http": transport.HTTP,
	}
	protocolWords = map[string]wire.Protocol{
		"binary": wire.Binary, "compact": wire.Compact, "json": wire.JSON, "apachejson": wire.ApacheJSON,
	}
)

// setWire takes from the flags how the server is spoken to.
func (p *callPlan) setWire(f *callFlags) error {
	p.protocol = protocolWords[f.protocol.word]
	place, _ := client.ParsePlace(p.address) // it has been read
	kind, said := kindWords[f.transport.word]
	switch {
	case place.HTTP && said && kind != transport.HTTP:
		return usageError("--transport %s: %s is an address of http", f.transport.word, p.address)
	case place.HTTP:
		p.kinds = []transport.Kind{transport.HTTP}
	case said:
		p.kinds = []transport.Kind{kind}
	}
	for _, kind := range p.kinds {
		if _, err := transport.NewSplitter(transport.Wire{Kind: kind, Protocol: p.protocol}, wire.Limits{}); err != nil {
			return usageError("--transport, --protocol: %v", err)
		}
	}
	for _, h := range f.headers {
		key, value, _ := strings.Cut(h, "=")
		p.headers = append(p.headers, transport.KV{Key: key, Value: value})
	}
	if carries := p.kinds[0] == transport.Header || p.kinds[0] == transport.HTTP; len(p.headers) > 0 && !carries {
		return usageError("-H: headers need --transport header or http")
	}
	if err := transport.Carries(p.kinds[0], p.headers); err != nil {
		return usageError("-H: %v", err)
	}
	return nil
}

func planFromIDL(p *callPlan, flags *idlFlags, name string) error {
	doc, err := flags.load()
	if err != nil {
		return err
	}
	if p.method, err = findMethod(doc, name); err != nil {
		return err
	}
	p.wireName = p.method.Name
	return nil
}

func callAddress(address string) (string, error) {
	if _, err := client.ParsePlace(address); err != nil {
		return "", usageError("%v", err)
	}
	return address, nil
}

// encodeArgs makes the body of the call. The error names every mistake in the JSON.
func (a *app) encodeArgs(m *schema.Method, p wire.Protocol, input string) ([]byte, error) {
	data, err := a.readInput(input)
	if err != nil {
		return nil, err
	}
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), data)
	if err != nil {
		return nil, usageError("the arguments do not fit %s:\n%w", signature(m), err)
	}
	return codec.AppendStruct(nil, p, v.(*schema.StructValue))
}

// readInput returns the JSON that input stands for: itself, a file, standard input, or no arguments.
func (a *app) readInput(input string) ([]byte, error) {
	var from io.Reader
	switch path, isFile := strings.CutPrefix(input, "@"); {
	case input == "":
		return []byte("{}"), nil
	case input == "-":
		from = a.stdin
	case isFile:
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	default:
		return []byte(input), nil
	}
	data, err := io.ReadAll(io.LimitReader(from, maxInputBytes+1))
	if err == nil && len(data) > maxInputBytes {
		err = errors.New("the arguments have more than 64 MiB")
	}
	return data, err
}

// printValue writes a result: a line of JSON, on a terminal indented.
func (a *app) printValue(t *schema.Type, v schema.Value) error {
	text, err := codec.AppendJSON(nil, t, v)
	if err != nil {
		return err
	}
	if onTerminal(a.stdout) {
		var pretty bytes.Buffer
		if json.Indent(&pretty, text, "", "  ") == nil {
			text = pretty.Bytes()
		}
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n", text)
	return err
}

// completeCall completes the method: the second argument, with -c the first.
func (a *app) completeCall(f *callFlags, at int, begun string) []cobra.Completion {
	if f.config != "" && at == 0 {
		return a.completeConfig(f.config, begun)
	}
	doc, err := f.idl.load()
	if err != nil || at > 1 || at == 0 && !f.empty {
		return nil
	}
	return completeMethods(doc, begun)
}
