package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// fewest is how many cells there must be at least.
const fewest = 120

// table holds every cell.
type table struct {
	mu    sync.Mutex
	cells []*cell
}

// newTable returns the cells of all peers, none of them tried.
func newTable(t testing.TB) *table {
	all := new(table)
	for _, p := range peers {
		for _, w := range p.ways() {
			for _, r := range roles {
				if !p.has(r, w) {
					continue
				}
				all.cells = append(all.cells, &cell{peer: p.name, role: r, way: w, results: map[string]peertest.Result{}, toCome: unbuilt(t, p, r, w)})
			}
		}
	}
	return all
}

func (a *table) of(p peer) []*cell {
	return slices.DeleteFunc(slices.Clone(a.cells), func(c *cell) bool { return c.peer != p.name })
}

func (a *table) find(p peer, r role, name string) *cell {
	for _, c := range a.cells {
		if c.peer == p.name && c.role == r && c.way.String() == name {
			return c
		}
	}
	return nil
}

// ways are those over which the peer is to be tried in that role.
func (a *table) ways(p peer, r role) (all []way) {
	for _, w := range p.ways() {
		if c := a.find(p, r, w.String()); c != nil && c.toCome == nil {
			all = append(all, w)
		}
	}
	return all
}

// names are those of the ways in any of the roles.
func (a *table) names(p peer, in ...role) (all []string) {
	for _, r := range in {
		for _, w := range a.ways(p, r) {
			if !slices.Contains(all, w.String()) {
				all = append(all, w.String())
			}
		}
	}
	return all
}

// configs are those of our clients, by the way: of the peer's server itself in its own way, and of a gateway before it in ours.
func (a *table) configs(p peer, r role, addresses map[string]string) map[string]thriftloom.ClientConfig {
	all := make(map[string]thriftloom.ClientConfig)
	for _, w := range a.ways(p, r) {
		name := w.String()
		if r == asBehind {
			w = way{transport: "buffered", protocol: "binary"}
		}
		all[name] = configOf(w, addresses[name])
	}
	return all
}

// addresses has the same address for each of them.
func (a *table) addresses(p peer, r role, address string) map[string]string {
	all := make(map[string]string)
	for _, w := range a.ways(p, r) {
		all[w.String()] = address
	}
	return all
}

// add puts results in their cells.
func (a *table) add(p peer, r role, results []peertest.Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range results {
		if c := a.find(p, r, one.Wire); c != nil {
			c.results[one.Case] = one
		}
	}
}

// judge fails the test unless every case has passed or shows a known fault, and every fault that is known of the cell shows.
func (c *cell) judge(t *testing.T, p peer) {
	if c.toCome != nil {
		t.Skip(c.toCome)
	}
	tried, want := 0, p.cases
	if !c.role.calls() {
		want = len(goCases)
	}
	for _, name := range strings.Fields(p.without[c.way.protocol]) {
		if name != "oneway_as_call" || c.role.calls() { // which our client does not have
			want--
		}
	}
	for name, r := range c.results {
		if !r.None {
			tried++
		}
		if r.None || r.Why == "" {
			continue
		}
		i := slices.IndexFunc(faults, func(f fault) bool { return f.of(c) && f.explains(name, r.Why) })
		if i < 0 {
			t.Errorf("%s: %s", name, r.Why)
		} else if !slices.Contains(c.faults, i) {
			c.faults = append(c.faults, i)
		}
	}
	if tried != want {
		t.Errorf("%d cases were tried, want %d", tried, want)
	}
	for i, f := range faults {
		if f.of(c) && !slices.Contains(c.faults, i) {
			t.Errorf("a known fault did not show: %s", f.evidence)
		}
	}
	slices.Sort(c.faults)
}

// mark is what the document says of the cell.
func (c *cell) mark() string {
	switch {
	case c == nil:
		return "–"
	case c.toCome != nil:
		return "to come"
	case len(c.faults) == 0:
		return "pass"
	}
	var all []string
	for _, i := range c.faults {
		all = append(all, fmt.Sprintf("known %d", i+1))
	}
	return strings.Join(all, ", ")
}

// print compares docs/interop.md with the outcome, or with -update rewrites it.
func (a *table) print(t *testing.T) {
	if len(a.cells) < fewest {
		t.Errorf("%d cells, want %d at least", len(a.cells), fewest)
	}
	if t.Failed() {
		return
	}
	path := filepath.Join(peertest.Root(), "docs/interop.md")
	want := a.document()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/interop.md is not what was found: make interop (%v)", err)
	}
}

const preface = `# Interoperability

<!-- Printed by make interop; do not edit. -->

Each cell is live: a peer's own program and Thriftloom, over one transport and protocol, with the 17 cases that every client has (void,
ASCII, UTF-8, 500 KB, binary, the extremes of each base type, structs, containers, unions, declared and undeclared exceptions, an unknown
method, oneways, oneways that fail, slow calls, a hundred clients at once; ThriftPy's clients also send a oneway as a call, as old ones
do). The columns:

- **client**: the peer's client calls a server of the library, which tells all of these apart on one port.
- **gateway**: the peer's client calls the gateway, also on one port, before two ThriftPy2 servers that speak only buffered binary.
- **server**: a client of the library calls the peer's server.
- **behind**: a client of the library calls the gateway, which calls the peer's server.

Each of them plain and multiplexed (m). "–": the peer has it not. "known": a fault of the peer's own, in the list at the end, keeps one or
more of the cases from passing; all others pass.

`

// document is docs/interop.md.
func (a *table) document() []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	passed, known, toCome := 0, 0, 0
	for _, c := range a.cells {
		switch {
		case c.toCome != nil:
			toCome++
		case len(c.faults) > 0:
			known++
		default:
			passed++
		}
	}
	fmt.Fprintf(&b, "%d cells: %d pass, %d pass but for a known fault of the peer's", len(a.cells), passed, known)
	if toCome > 0 {
		fmt.Fprintf(&b, ", %d are to come", toCome)
	}
	b.WriteString(".\n")
	for _, p := range peers {
		a.section(&b, p)
	}
	b.WriteString("\n## Known faults of peers\n\n")
	for i, f := range faults {
		fmt.Fprintf(&b, "%d. %s\n", i+1, f.evidence)
	}
	return b.Bytes()
}

func (a *table) section(b *bytes.Buffer, p peer) {
	fmt.Fprintf(b, "\n## %s\n\n| transport | protocol | client | client m | gateway | gateway m | server | server m | behind | behind m |\n|---|---|---|---|---|---|---|---|---|---|\n", p.title)
	for _, t := range transportNames {
		for _, protocol := range strings.Fields(p.protocols[t]) {
			fmt.Fprintf(b, "| %s | %s |", t, protocol)
			for _, r := range roles {
				for _, multiplexed := range []bool{false, true} {
					fmt.Fprintf(b, " %s |", a.find(p, r, way{t, protocol, multiplexed}.String()).mark())
				}
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\nIt has not:\n\n")
	for _, line := range p.lacks {
		fmt.Fprintf(b, "- %s\n", line)
	}
}
