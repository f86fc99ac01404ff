// Package binary is Thrift's binary protocol: encoders that append, a reader of whole slices, and the skip-scan, which finds the end of a
// struct in bytes that come piece by piece.
//
// Strict and non-strict messages differ in their head only. All numbers are big-endian. Layouts are drawn beside the functions that write
// them. Every error is a *wire.Error.
// Source: Apache Thrift, doc/specs/thrift-binary-protocol.md.
package binary
