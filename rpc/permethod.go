package rpc

import "slices"

// PerMethod is a value for each method of a service, and one for methods that the IDL does not have: an array look-up for a call.
type PerMethod[T any] struct {
	Methods []T // by schema.Method.Index
	Other   T
}

// For returns the call's value.
func (p *PerMethod[T]) For(call *Call) *T {
	if call.Method == nil || call.Method.Index >= len(p.Methods) {
		return &p.Other
	}
	return &p.Methods[call.Method.Index]
}

// Any reports whether is holds for the value of any method, those that the IDL does not have included.
func (p *PerMethod[T]) Any(is func(T) bool) bool {
	return is(p.Other) || slices.ContainsFunc(p.Methods, is)
}
