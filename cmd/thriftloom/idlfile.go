package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/schema"
)

// idlFlags name an IDL: -i and -I.
type idlFlags struct {
	path    string
	include []string
}

func (f *idlFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.path, "idl", "i", "", "the .thrift `file`")
	cmd.Flags().StringArrayVarP(&f.include, "include", "I", nil, "`folder` in which its includes are looked for too (repeatable)")
	_ = cmd.MarkFlagFilename("idl", "thrift")
	_ = cmd.MarkFlagDirname("include")
}

// load reads the IDL. Every mistake in it is in the error.
func (f *idlFlags) load() (*schema.Document, error) {
	if f.path == "" {
		return nil, usageError("which IDL? -i FILE is missing")
	}
	doc, err := schema.Load(f.path, schema.Options{IncludeDirs: f.include})
	var mistakes idl.Mistakes
	if errors.As(err, &mistakes) {
		return nil, fmt.Errorf("%d mistakes in the IDL:\n%s", len(mistakes), strings.TrimSuffix(mistakes.Render(), "\n"))
	}
	return doc, err
}

// splitTarget parts "Users.getUser" and "Users/getUser"; service is "" where it is left out.
func splitTarget(name string) (service, method string) {
	i := strings.LastIndexAny(name, "./")
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// findMethod returns the method that name means. The service may be left out where the IDL has one.
func findMethod(doc *schema.Document, name string) (*schema.Method, error) {
	service, method := splitTarget(name)
	svc, err := findService(doc, service)
	if err != nil {
		return nil, err
	}
	if m := svc.Method(method); m != nil {
		return m, nil
	}
	return nil, usageError("%s has no method %q%s", svc.Name, method, codec.DidYouMean(method, methodNames(svc)))
}

// findService returns the service of that name; for "" the only one.
func findService(doc *schema.Document, name string) (*schema.Service, error) {
	all := serviceNames(doc)
	switch {
	case name != "":
		if svc := doc.Service(name); svc != nil {
			return svc, nil
		}
		return nil, usageError("%s has no service %q%s", doc.Path, name, codec.DidYouMean(name, all))
	case len(doc.Services) == 1:
		return doc.Services[0], nil
	case len(all) == 0:
		return nil, usageError("%s has no service", doc.Path)
	case len(all) == 1:
		return doc.AllServices()[0], nil
	}
	return nil, usageError("which service? %s has %s; write SERVICE.METHOD", doc.Path, strings.Join(all, ", "))
}

func serviceNames(doc *schema.Document) (names []string) {
	for _, s := range doc.AllServices() {
		names = append(names, serviceName(s, doc))
	}
	return names
}

// serviceName returns the service's name as doc's file has to write it: with a prefix where it stands in another file.
func serviceName(s *schema.Service, doc *schema.Document) string {
	if s.Document == doc {
		return s.Name
	}
	return strings.TrimSuffix(filepath.Base(s.Document.Path), ".thrift") + "." + s.Name
}

func methodNames(s *schema.Service) (names []string) {
	for _, m := range s.Methods {
		names = append(names, m.Name)
	}
	return names
}

// completeMethods returns "Users.getUser" for each method of the IDL whose name begins so, with its signature.
func completeMethods(doc *schema.Document, begun string) (found []cobra.Completion) {
	dot := "."
	if strings.Contains(begun, "/") {
		dot = "/"
	}
	for _, s := range doc.AllServices() {
		for _, m := range s.Methods {
			if name := serviceName(s, doc) + dot + m.Name; strings.HasPrefix(name, begun) {
				found = append(found, cobra.CompletionWithDesc(name, signature(m)))
			}
		}
	}
	return found
}

// completeNames returns what of names begins so.
func completeNames(names []string, begun string) []cobra.Completion {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, begun) })
}
