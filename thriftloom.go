// Package thriftloom loads Thrift IDL at run time, serves it and calls it, without generated code.
//
//	doc, err := thriftloom.Load("users.thrift")
//	err = thriftloom.Serve(ctx, "127.0.0.1:6000", doc.Service("Users"), &users{})
//
//	client, err := thriftloom.Dial("127.0.0.1:6000", doc.Service("Users"))
//	var users struct{ GetUser func(ctx context.Context, id int64) (*User, error) }
//	err = thriftloom.Bind(client, &users)
//
// Methods and fields are matched by name when the program starts, and every mismatch is reported at once. A server tells transports and
// protocols apart by itself, for each connection; a client speaks as its ClientConfig says, by default as ThriftPy does: unframed binary.
//
//	client, err := thriftloom.ClientConfig{
//		Addresses: []string{"10.0.0.7:6000"}, Transport: thriftloom.Framed, Protocol: thriftloom.Compact, Multiplexed: "Users",
//	}.Dial(doc.Service("Users"))
package thriftloom

import (
	"io/fs"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// Document is a loaded IDL file. Immutable; safe for concurrent use.
type Document = schema.Document

// Service is a service of a Document.
type Service = schema.Service

// Error is why a call has no reply: a code, and how far the request got.
type Error = rpc.Error

// Exception is a declared exception for which no Go type was named.
type Exception = bind.Exception

// Option changes how Go values are bound to a service.
type Option = bind.Option

// Exceptions names the Go types of declared exceptions: Exceptions((*NotFound)(nil)).
func Exceptions(types ...error) Option { return bind.Exceptions(types...) }

// Load loads the IDL file at path, and what it includes. The error lists every mistake with its place.
func Load(path string, includeDirs ...string) (*Document, error) {
	return schema.Load(path, schema.Options{IncludeDirs: includeDirs})
}

// LoadFS is Load out of a file system, so that an IDL can be embedded in the program.
func LoadFS(fsys fs.FS, path string) (*Document, error) {
	return schema.Load(path, schema.Options{FS: fsys})
}

// LoadBytes loads an IDL from its text. name stands for the file in mistakes.
func LoadBytes(name string, text []byte) (*Document, error) {
	return schema.LoadBytes(name, text, schema.Options{})
}

// Check reports how value does not fit the service: what Serve and Bind would refuse. Call it in a test.
func Check(svc *Service, value any, opts ...Option) error { return bind.Check(svc, value, opts...) }
