//go:build !linux

package process

import (
	"errors"
	"os"
)

const adoptable = false

var errNotAdoptable = errors.New("replicas can outlive their gateway on Linux only")

func tie(*os.File, int) error { return errNotAdoptable }

// stranger has no value here.
type stranger struct{ process }

func newStranger(int, uint64) (*stranger, error) { return nil, errNotAdoptable }

func (*stranger) watch() {}
func (*stranger) close() {}

func (*started) offer() (Running, error) { return Running{}, errNotAdoptable }
