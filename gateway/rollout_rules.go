package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/faults"
	"github.com/thriftloom/thriftloom/layer/match"
	"github.com/thriftloom/thriftloom/layer/mirror"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// mirrorPlan is where copies of a method's calls go.
type mirrorPlan struct {
	upstream string // key
	percent  float64
	timeout  time.Duration // 0: that of the call
	most     int
	diff     bool
	ignore   []string
}

// canaryPlan is where some of a method's calls go.
type canaryPlan struct {
	upstream   string // key
	percent    float64
	by         affinity.Policy
	match      match.Match
	abortAbove float64
	block      string // what the config has, in one text: another one is another canary
}

// uses returns the keys of the upstreams that the method's calls and their copies go to.
func (m *methodPlan) uses() []string {
	keys := []string{m.upstream}
	if m.mirror != nil {
		keys = with(keys, m.mirror.upstream)
	}
	if m.canary != nil {
		keys = with(keys, m.canary.upstream)
	}
	return keys
}

// rollouts is the resolving of one service's mirrors, canaries, faults and subsets.
type rollouts struct {
	*loader
	service *Service
	plan    *servicePlan
	claims  []claim
}

// claim is that something in the config fits one at least of the methods that it holds for. It is told once, where it stands, that it does
// not.
type claim struct {
	at   spot
	text string
	fits bool
	soft bool // it is legal
}

// rollout resolves mirrors, canaries, faults and subsets of all methods.
func (l *loader) rollout(s *Service, p *servicePlan) {
	r := &rollouts{loader: l, service: s, plan: p}
	r.method(&p.other, nil)
	for i := range p.methods {
		r.method(&p.methods[i], p.schema.Methods[i])
	}
	for _, c := range r.claims {
		switch {
		case c.fits || p.schema == nil:
		case c.soft:
			r.warn(c.at, c.text)
		default:
			r.mistake(c.at, "", "%s", c.text)
		}
	}
}

func (r *rollouts) method(p *methodPlan, m *schema.Method) {
	p.mirror = r.mirror(p, m)
	p.canary = r.canary(p, m)
	p.faults = r.faults(p, m)
	p.subset = r.subset(p, m)
}

// mistake notes what is wrong at a spot, or at a key below it.
func (r *rollouts) mistake(at spot, sub, format string, args ...any) {
	if sub != "" {
		at = at.below(sub)
	}
	if !r.told(at.key) {
		r.noting(at.file).Addf(at.node, at.key, format, args...)
	}
}

// warn notes what is legal and should be known, once.
func (r *rollouts) warn(at spot, text string) {
	w := strictyaml.Mistake{File: at.file, Line: at.node.Line, Col: at.node.Column, Key: at.key, Text: text}
	if !slices.Contains(r.warnings, w) {
		r.warnings = append(r.warnings, w)
	}
}

// wants says of one method whether what stands at a spot fits it. What stands in `defaults` is of all services, and may fit none of one.
func (r *rollouts) wants(at spot, fits bool, text string) { r.claim(claim{at, text, fits, false}) }

// hopes is wants for what is legal where it fits none.
func (r *rollouts) hopes(at spot, fits bool, text string) { r.claim(claim{at, text, fits, true}) }

func (r *rollouts) claim(c claim) {
	if strings.HasPrefix(c.at.key, "defaults.") {
		return
	}
	i := slices.IndexFunc(r.claims, func(x claim) bool { return x.at.key == c.at.key && x.soft == c.soft })
	if i < 0 {
		r.claims = append(r.claims, c)
		return
	}
	r.claims[i].fits = r.claims[i].fits || c.fits
}

// below is the spot of a key in a block.
func (s spot) below(keys ...string) spot { return spot{s.place.below(keys...), s.file} }

// below is the place of a key in a block.
func (p place) below(keys ...string) place {
	return place{strictyaml.At(p.node, keys...), p.key + "." + strings.Join(keys, ".")}
}

// to looks up where calls of a method go besides; ok is false where they do not. on says whether any of them are to.
func (r *rollouts) to(p *methodPlan, m *schema.Method, block spot, to UpstreamName, on bool) (key string, ok bool) {
	switch {
	case to.Name == "" && block.node != nil && block.node.Kind == yaml.MappingNode && len(block.node.Content) > 0:
		r.mistake(block, "to", "is missing: a name out of `upstreams`")
		return "", false
	case to.Name == "":
		return "", false
	}
	key = r.noting(to.at.file).named(to.at.node, to.at.key, to.Name)
	if key != p.upstream || !on {
		return key, on
	}
	if !strings.HasPrefix(to.at.key, "defaults.") {
		whose := r.service.Service
		if m != nil {
			whose = m.Name
		}
		r.mistake(to.at, "", "is where calls of %s go in any case; off turns this off for a method", whose)
	}
	return "", false
}

func (r *rollouts) mirror(p *methodPlan, m *schema.Method) *mirrorPlan {
	c := &p.policies.Mirror
	to, ok := r.to(p, m, c.at, c.To, c.Percent > 0)
	if !ok {
		return nil
	}
	safe := m != nil && p.idempotent && !m.Oneway
	if m != nil && !r.told(c.at.key) {
		r.ignored(c, m)
		r.hopes(c.at, safe || c.All, "copies nothing: none of its methods is idempotent and has an answer; `all: true` copies the others too")
	}
	if !safe && !c.All {
		return nil
	}
	return &mirrorPlan{upstream: to, percent: c.Percent, timeout: c.Timeout, most: c.MaxInFlight, diff: c.Diff.On, ignore: c.Diff.Ignore}
}

// ignored checks the paths that a comparison leaves out.
func (r *rollouts) ignored(c *Mirror, m *schema.Method) {
	for i, path := range c.Diff.Ignore {
		at := c.Diff.at.below("ignore")
		at.key = fmt.Sprintf("%s[%d]", at.key, i)
		if i < len(at.node.Content) {
			at.node = at.node.Content[i]
		}
		r.wants(at, mirror.Names(m, path), "no reply of "+r.service.Service+" has a field "+path)
	}
}

func (r *rollouts) canary(p *methodPlan, m *schema.Method) *canaryPlan {
	c := &p.policies.Canary
	to, ok := r.to(p, m, c.at, c.To, c.Percent > 0 || c.Match.at.node != nil)
	if !ok {
		return nil
	}
	plan := &canaryPlan{upstream: to, percent: c.Percent, abortAbove: c.AbortAbove, match: r.match(c.Match, m), block: c.text()}
	switch by := c.By; {
	case by.Header != "" && by.Argument != "":
		r.mistake(by.at, "", "one of header and argument is wanted")
	case by.Header != "":
		plan.by = affinity.ByHeader(by.Header)
	case by.Argument != "":
		plan.by, ok = affinity.ByArgument(m, by.Argument)
		r.wants(by.at.below("argument"), ok, "no method of "+r.service.Service+" has an argument "+by.Argument)
	case by.at.node != nil:
		r.mistake(by.at, "", "one of header and argument is wanted")
	}
	if plan.percent == 0 && len(plan.match) == 0 {
		return nil
	}
	return plan
}

// text returns the block in one line, equal for equal blocks.
func (c *Canary) text() string {
	return fmt.Sprintf("%q %v %q %q %q %q %q %v", c.To.Name, c.Percent, c.By.Header, c.By.Argument, c.Match.Header, c.Match.Argument, c.Match.Caller, c.AbortAbove)
}

// match makes the tests of a block for one method.
func (r *rollouts) match(c Match, m *schema.Method) (tests match.Match) {
	if c.at.node == nil {
		return nil
	}
	if len(c.Header)+len(c.Argument)+len(c.Caller) == 0 {
		r.mistake(c.at, "", "one of header, argument and caller is wanted")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		if name == "" {
			r.mistake(c.at, "header", "a header has a name")
		}
		tests = append(tests, match.Header(name, c.Header[name]))
	}
	for _, path := range slices.Sorted(maps.Keys(c.Argument)) {
		test, err := match.Argument(m, path, c.Argument[path])
		at, has := c.at.below("argument", path), !errors.Is(err, match.ErrNoArgument)
		r.wants(at, has, "no method of "+r.service.Service+" has this argument")
		switch {
		case err == nil:
			tests = append(tests, test)
		case has:
			r.mistake(at, "", "%s: %v", m.Name, err)
		}
	}
	for _, name := range c.Caller {
		if name == "" {
			r.mistake(c.at, "caller", "is empty")
		}
		tests = append(tests, match.Caller(name))
	}
	return tests
}

func (r *rollouts) faults(p *methodPlan, m *schema.Method) *faults.Policy {
	c := &p.policies.Faults
	if c.at.node == nil {
		return nil
	}
	f := &faults.Policy{Only: r.match(c.Only, m)}
	if d := c.Delay; d.at.node != nil && !r.told(d.at.key) {
		high := cmp.Or(d.Max, d.Min)
		if high < d.Min {
			r.mistake(d.at, "max", "%v is less than min (%v)", d.Max, d.Min)
		} else if high == 0 && d.Percent > 0 {
			r.mistake(d.at, "min", "is missing: for how long?")
		}
		f.Delay = faults.Delay{Min: d.Min, Max: high, Percent: d.Percent}
	}
	if a := c.Abort; a.at.node != nil && !r.told(a.at.key) {
		if a.Code == "" && a.Percent > 0 {
			r.mistake(a.at, "code", "is missing: what do callers get?")
		}
		f.Abort = faults.Abort{Code: codeOf(a.Code), Percent: a.Percent}
	}
	if c.Exception.at.node != nil && c.Exception.Percent > 0 {
		f.Exception = r.exception(&c.Exception, m)
		if sum := f.Abort.Percent + c.Exception.Percent; sum > 100 {
			r.mistake(c.Exception.at, "percent", "abort and exception are %v percent together", sum)
		}
	}
	only := len(c.Only.Header)+len(c.Only.Argument)+len(c.Only.Caller) > 0
	if f.Delay.Percent+f.Abort.Percent+f.Exception.Percent == 0 || only && len(f.Only) == 0 {
		return nil
	}
	r.warn(c.at, "calls wait and fail on purpose")
	return f
}

// codeOf returns the code of that name, 0 where it is none.
func codeOf(name string) rpc.Code {
	for c := rpc.DeadlineExceeded; c < rpc.OtherException; c++ {
		if c.String() == name {
			return c
		}
	}
	return 0
}

// exception makes the exception of a block for one method; none where the method does not declare it.
func (r *rollouts) exception(c *FaultException, m *schema.Method) (e faults.Exception) {
	if c.Type == "" {
		r.mistake(c.at, "type", "is missing: the name of an exception")
		return e
	}
	var thrown *schema.Field
	if m != nil {
		if i := slices.IndexFunc(m.Throws, func(f *schema.Field) bool { return isNamed(f, c.Type) }); i >= 0 {
			thrown = m.Throws[i]
		}
	}
	at := c.at
	if at.node.Kind == yaml.MappingNode {
		at = at.below("type")
	}
	text := "none of its methods declares the exception " + c.Type
	if declared := r.declared(); !slices.Contains(declared, c.Type) {
		text += strictyaml.DidYouMean(c.Type, declared)
	}
	r.wants(at, thrown != nil, text)
	if thrown == nil {
		return e
	}
	e, err := faults.NewException(m, thrown, c.Value.JSON, c.Percent)
	var wrong codec.Errors
	if errors.As(err, &wrong) {
		err = wrong[0]
	}
	if err != nil {
		r.mistake(c.at, "value", "%v", err)
	}
	return e
}

// isNamed reports whether a thrown field is of an exception of that name, as this file of the IDL or its own has it.
func isNamed(f *schema.Field, name string) bool {
	full := f.Type.Struct.Name
	return full == name || full[strings.LastIndexByte(full, '.')+1:] == name
}

// declared returns the exceptions that methods of the service declare.
func (r *rollouts) declared() (names []string) {
	if r.plan.schema == nil {
		return nil
	}
	for _, m := range r.plan.schema.Methods {
		for _, f := range m.Throws {
			names = with(names, f.Type.Struct.Name)
		}
	}
	return names
}
