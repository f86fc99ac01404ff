//go:build !unix

package process

import "errors"

const supported = false

var errUnsupported = errors.New("no process groups")

// identity has no value here.
type identity struct {
	name, home string
	uid, gid   int
}

func lookUpUser(string) (*identity, error) { return nil, nil }

type starter struct{}

func newStarter() *starter                   { return &starter{} }
func (*starter) close()                      {}
func (*starter) start(spec) (process, error) { return nil, errUnsupported }
