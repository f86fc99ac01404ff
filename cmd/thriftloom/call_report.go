package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// report prints what came of a call: a result on stdout, all else on stderr with an exit code of its own.
func (a *app) report(p *callPlan, reply *rpc.Reply, failure *rpc.Error) error {
	switch {
	case failure != nil && failure.Peer != nil:
		return a.fail(exitApplication, failure.Code.String(), applicationText(failure))
	case failure != nil:
		return a.fail(exitUnreached, failure.Code.String(), p.why(failure))
	case p.method.Oneway:
		return nil
	}
	result, _, err := codec.DecodeStruct(reply.Protocol, p.method.Result, reply.Body, wire.Limits{})
	if err != nil {
		return a.fail(exitUnreached, rpc.Malformed.String(), fmt.Sprintf("%s: the reply is no %s: %v", p.address, p.method.Result.Name, err))
	}
	for i, f := range p.method.Result.Fields {
		switch v := result.Fields[i]; {
		case v == nil:
		case f.ID == 0:
			return a.printValue(f.Type, v)
		default:
			return a.printException(f.Type, v)
		}
	}
	if p.method.Return.Kind != schema.Void {
		return a.fail(exitApplication, rpc.MissingResult.String(), p.method.FullName()+": the reply has no result, and no exception that the IDL declares")
	}
	return a.printValue(p.method.Return, nil)
}

func (a *app) printException(t *schema.Type, v schema.Value) error {
	text, err := codec.AppendJSON(nil, t, v)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "{\"exception\": %s, \"value\": %s}\n", quoteJSON(t.Struct.Name), text)
	return &exitError{code: exitException}
}

// fail prints an error and ends the program with code.
func (a *app) fail(code int, name, message string) error {
	fmt.Fprintf(a.stderr, "{\"error\": {\"code\": %s, \"message\": %s}}\n", quoteJSON(name), quoteJSON(message))
	return &exitError{code: code}
}

// applicationText returns the server's own words; ThriftPy has none for an unknown method.
func applicationText(e *rpc.Error) string {
	if e.Peer.Message == "" {
		return fmt.Sprintf("TApplicationException of type %d, without a message", e.Peer.Type)
	}
	return e.Peer.Message
}

// quoteJSON returns s as a JSON string.
func quoteJSON(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // every string is JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}
