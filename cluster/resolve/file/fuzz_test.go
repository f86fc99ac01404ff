package file

import (
	"testing"

	"github.com/thriftloom/thriftloom/client"
)

// Whatever a file holds, it is endpoints that can be called, or mistakes with their places.
func FuzzParse(f *testing.F) {
	for _, text := range []string{one, "", "endpoints:\n", "endpoints: [{address: \"a:1\", weight: 0, slots: 2, zone: x}]", "endpoints: [unix:a, {}, [], *a]", "endpoints: &a [*a]", "- a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parse("/d/e.yaml", []byte(text))
		if err != nil {
			if m, ok := err.(Mistakes); !ok || len(m) == 0 || m[0].Line < 1 || m[0].Col < 1 || all != nil {
				t.Errorf("%q: %v with %v", text, err, all)
			}
			return
		}
		for _, e := range all {
			if _, err := client.ParsePlace(e.Address); err != nil || e.Name != e.Address {
				t.Errorf("%q: %v: %v", text, e, err)
			}
		}
	})
}
