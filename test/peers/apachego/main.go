// Command apachego is a server and a client of kinds.thrift made with Apache's own Go library, the code out of Debian's thrift-compiler.
//
//	apachego serve WIRE=PORT…
//	apachego call WIRE=HOST:PORT…
//
// A wire is TRANSPORT-PROTOCOL[-multiplexed]. The server prints "ready" once it listens everywhere. The client prints a line for each wire
// and case: "ok WIRE CASE" or "FAIL WIRE CASE: why". The folder kinds with the generated code is made beside this file when the tests
// build it; see internal/peertest.
package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// atOnce bounds the wires that the client tries at the same time.
const atOnce = 12

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: apachego serve|call WIRE=ADDRESS…")
		os.Exit(2)
	}
	var places []place
	for _, arg := range os.Args[2:] {
		name, address, _ := strings.Cut(arg, "=")
		places = append(places, place{parseWire(name), address})
	}
	switch os.Args[1] {
	case "serve":
		serve(places)
	case "call":
		call(places)
	}
}

// place is where a wire is spoken.
type place struct {
	wire
	address string
}

// call runs every case over every wire.
func call(places []place) {
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, p := range places {
		all.Add(1)
		go func() {
			defer all.Done()
			turns <- struct{}{}
			defer func() { <-turns }()
			for _, c := range cases {
				if err := p.run(c.run); err != nil {
					fmt.Printf("FAIL %s %s: %.500v\n", p.name, c.name, strings.ReplaceAll(err.Error(), "\n", " "))
				} else {
					fmt.Printf("ok %s %s\n", p.name, c.name)
				}
			}
		}()
	}
	all.Wait()
}
