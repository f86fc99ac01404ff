// Package file finds endpoints in a file, which it follows.
//
//	endpoints:
//	  - 10.0.0.1:6000
//	  - {address: "10.0.0.2:6000", slots: 2, weight: 2, zone: a, labels: {size: big}}
package file

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/internal/filewatch"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/rpc"
)

// Resolver follows one file. A file that is broken or gone is a failure: the mistakes are told, and nothing of it is taken.
type Resolver struct {
	path string
	log  *slog.Logger
	pace filewatch.Config // its durations
}

// New returns the resolver of the file at path, an absolute one. log, which may be nil, gets what is wrong with watching it.
func New(path string, log *slog.Logger) *Resolver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Resolver{path: path, log: log}
}

func (r *Resolver) String() string { return "file " + r.path }

// Run implements resolve.Resolver.
func (r *Resolver) Run(ctx context.Context, tell resolve.Tell) {
	c := r.pace
	c.Set = func() (files, patterns []string) { return []string{r.path}, nil }
	c.Seen, c.Log = filewatch.Look(c.Set()), r.log
	c.Changed = func([]string) { tell(Read(r.path)) }
	tell(Read(r.path))
	filewatch.Run(ctx, c)
}

// Mistakes are what is wrong in a file.
type Mistakes []strictyaml.Mistake

// maxTold bounds how many mistakes an error tells.
const maxTold = 5

// Error implements error: the first mistakes, each with its place.
func (m Mistakes) Error() string {
	var all []string
	for i, x := range m {
		if i == maxTold {
			all = append(all, fmt.Sprintf("and %d more", len(m)-maxTold))
			break
		}
		all = append(all, x.String())
	}
	return strings.Join(all, "; ")
}

// Read reads the file once. An error of what stands in it is Mistakes.
func Read(path string) ([]rpc.Endpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, strictyaml.MaxBytes+1)) // which Parse refuses
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

// document is the file.
type document struct {
	Endpoints []entry `yaml:"endpoints"`
}

// entry is an address or a block.
type entry struct {
	Address string            `yaml:"address"`
	Slots   int               `yaml:"slots" min:"1" max:"65536"`
	Weight  *int              `yaml:"weight" min:"0" max:"1000"`
	Zone    string            `yaml:"zone"`
	Labels  map[string]string `yaml:"labels"`

	node *yaml.Node
	key  string
}

// DecodeYAML takes an address or a block.
func (e *entry) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain entry
	e.node, e.key = node, path
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, (*plain)(e))
		return
	}
	if s, ok := d.Text(node, path); ok {
		e.Address = s
	}
}

func parse(path string, data []byte) ([]rpc.Endpoint, error) {
	doc, mistakes := strictyaml.Parse(path, data)
	d := strictyaml.Decoder{File: path}
	for _, m := range mistakes {
		d.Add(m)
	}
	var read document
	d.Decode(doc.Root, "", &read)
	switch list := strictyaml.Find(doc.Root, "endpoints"); {
	case len(d.Mistakes()) > 0:
	case list == nil || list.Kind != yaml.SequenceNode: // a file that is half written looks so
		d.Addf(strictyaml.At(doc.Root, "endpoints"), "endpoints", "is missing: a list of endpoints, which may be empty: []")
	}
	var out []rpc.Endpoint
	for _, e := range read.Endpoints {
		if e.node == nil || slices.ContainsFunc(d.Mistakes(), func(m strictyaml.Mistake) bool { return strings.HasPrefix(m.Key, e.key) }) {
			continue
		}
		if path, ok := strings.CutPrefix(e.Address, "unix:"); ok && path != "" && !filepath.IsAbs(path) {
			e.Address = "unix:" + filepath.Join(filepath.Dir(doc.File), path)
		}
		endpoint, err := resolve.Entry{Address: e.Address, Slots: e.Slots, Weight: e.Weight, Zone: e.Zone, Labels: e.Labels}.Endpoint()
		if err != nil {
			d.Addf(e.node, e.key, "%v", err)
		}
		out = append(out, endpoint)
	}
	if m := strictyaml.Sort(d.Mistakes()); len(m) > 0 {
		return nil, Mistakes(m)
	}
	return out, nil
}
