package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/bench/order"
)

// shapes are what a call carries, by the name that the rows have it by: a string that makes the body so long, or, 0, the order.
var shapes = map[string]int{"128 B": 128, "1 KB": 1 << 10, "10 KB struct": 0, "100 KB": 100 << 10}

// body is the struct of a call's one argument, or of what it returns, in binary. Its first field's id is at body[1:3].
func body(shape string) ([]byte, error) {
	size, ok := shapes[shape]
	if !ok {
		return nil, fmt.Errorf("no shape is called %q", shape)
	}
	if size == 0 {
		return order.Arguments()
	}
	const around = 1 + 2 + 4 + 1 // type, id, length, stop
	b := []byte{11, 0, 1}
	b = binary.BigEndian.AppendUint32(b, uint32(size-around))
	return append(append(b, strings.Repeat("x", size-around)...), 0), nil
}

// idl is the service that is called.
func idl(shape string) string {
	if shapes[shape] == 0 {
		return order.IDL + "service Echo { Order echo(1: Order order) }\n"
	}
	return "service Echo { string echo(1: string text) }\n"
}

// message lays out a call of the method echo. Its reply is as long.
func message(framed bool, shape string) ([]byte, error) {
	body, err := body(shape)
	if err != nil {
		return nil, err
	}
	m := append([]byte{0x80, 1, 0, 1, 0, 0, 0, 4, 'e', 'c', 'h', 'o', 0, 0, 0, 0}, body...)
	if framed {
		m = append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)
	}
	return m, nil
}
