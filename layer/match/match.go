// Package match says which calls are meant: those with a header, an argument or a caller, or a share of all.
package match

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// Match fits the calls that one of its tests fits: none where it has none.
type Match []Test

// Fits reports whether the call is meant.
func (m Match) Fits(call *rpc.Call) bool {
	return slices.ContainsFunc(m, func(t Test) bool { return t.fits(call) })
}

// Test fits a call by one thing. Make one with Header, Argument or Caller.
type Test struct {
	at     affinity.Policy
	want   []byte // at that place; nil: the test is of the caller
	caller string
}

// Header returns the test for a transport header, of whatever case, that has the value.
func Header(name, value string) Test {
	return Test{at: affinity.ByHeader(name), want: []byte(value)}
}

// Caller returns the test for a caller: by the name that it gives itself, by one of the identities that were verified, or by the address
// of its machine.
func Caller(name string) Test { return Test{caller: name} }

// ErrNoArgument is the error of Argument for a method that does not have it.
var ErrNoArgument = errors.New("no such argument")

// Argument returns the test for an argument of a method, or a field in one ("user.id"), that has the value, which is written as in a config:
// a text as it is, an enum by its name. ErrNoArgument where the method, which may be nil, has no such argument.
func Argument(m *schema.Method, argument, value string) (Test, error) {
	at, ok := affinity.ByArgument(m, argument)
	if !ok {
		return Test{}, ErrNoArgument
	}
	t, text := at.Type(), []byte(value)
	switch t.Kind {
	case schema.Struct, schema.List, schema.Set, schema.Map:
		return Test{}, errors.New("is a " + t.String() + ": only a single value can be compared")
	case schema.String, schema.Binary, schema.UUID:
		text, _ = json.Marshal(value) // of a string never fails
	case schema.Enum:
		if value != "" && !strings.ContainsAny(value[:1], "-0123456789") {
			text, _ = json.Marshal(value)
		}
	}
	v, err := codec.ParseJSON(t, text)
	if err == nil && v == nil {
		err = errors.New("expected " + t.String() + ", found null")
	}
	if err != nil {
		return Test{}, errors.New(strings.TrimPrefix(err.Error(), "$: "))
	}
	want, err := codec.AppendJSON(nil, t, v)
	return Test{at: at, want: want}, err
}

func (t *Test) fits(call *rpc.Call) bool {
	if t.want != nil {
		v := t.at.Value(call)
		return v != nil && bytes.Equal(v, t.want)
	}
	c := &call.Caller
	if c.Name == t.caller || slices.Contains(c.Identities, t.caller) {
		return true
	}
	at, err := netip.ParseAddrPort(c.Address)
	return err == nil && at.Addr().Unmap().WithZone("").String() == t.caller
}

// Share reports whether a number is in a share of all numbers: of random ones, and of hashes, so many in a hundred are. One that is in a share
// is in every greater one. Different salts give shares that have nothing to do with each other.
func Share(n, salt uint64, percent float64) bool {
	n = (n ^ salt) + 0x9e3779b97f4a7c15 // splitmix64: every bit of n moves every bit of what comes out
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	n ^= n >> 31
	return float64(n>>11)/(1<<53) < percent/100
}
