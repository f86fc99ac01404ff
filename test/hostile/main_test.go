// Package hostile throws at the gateway what no good caller sends, each case under its name: at the door of a gateway with a peer that
// writes down every byte it gets, cut and split at every offset, and, with real ThriftPy servers behind the real program, all at once.
//
// Cases of protocols and transports that are not built yet (JSON, HTTP) are in test/faults/hostile.rows with that
// reason.
package hostile

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
