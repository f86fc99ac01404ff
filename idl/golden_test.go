package idl

import (
	"testing"

	"github.com/thriftloom/thriftloom/internal/golden"
)

// Every mistake and warning is shown as testdata/*.txt says: "=== title", an IDL, "----", what is reported.
func TestMistakes(t *testing.T) { golden.Run(t, "testdata/*.txt", report) }

// report shows what parsing an IDL reports.
func report(src string) string {
	f, mistakes := Parse("a.thrift", []byte(src))
	out := mistakes.Render()
	if len(f.Warnings) > 0 {
		out += "warnings:\n" + Mistakes(f.Warnings).Render()
	}
	if out == "" {
		return "ok\n"
	}
	return out
}
