package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/schema"
)

// described is a part of an IDL. Its types are *schema.StructType, *schema.EnumType, *schema.Typedef and *schema.Const.
type described struct {
	services []*schema.Service
	methods  []*schema.Method // asked for by name, without their service
	types    []any
	from     *schema.Document // the file, from which names are seen
}

func (a *app) newDescribe() *cobra.Command {
	flags := &idlFlags{}
	cmd := &cobra.Command{
		Use: "describe [SERVICE | SERVICE.METHOD | TYPE]", Short: "Show what an IDL offers", Args: cobra.MaximumNArgs(1),
		Long: "describe prints services, methods with their signatures, and types with their fields, docs and defaults.\n" +
			"A method is shown with every type that it leads to.",
		Example: "  thriftloom describe -i users.thrift\n  thriftloom describe -i users.thrift Users.getUser\n  thriftloom describe -i users.thrift User -o json",
	}
	flags.add(cmd)
	output := addOutput(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		doc, err := flags.load()
		if err != nil {
			return err
		}
		d := describeAll(doc)
		if len(args) == 1 {
			if d, err = describeOne(doc, args[0]); err != nil {
				return err
			}
		}
		if output.word == "json" {
			return printJSON(a.stdout, d.json())
		}
		_, err = fmt.Fprint(a.stdout, d.text())
		return err
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		doc, err := flags.load()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := append(serviceNames(doc), typeNames(describeAll(doc).types)...)
		return append(completeNames(names, begun), completeMethods(doc, begun)...), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// describeAll is the whole file, with what it includes behind it.
func describeAll(doc *schema.Document) described {
	d := described{services: doc.AllServices(), from: doc}
	seen := map[*schema.Document]bool{}
	var add func(*schema.Document)
	add = func(doc *schema.Document) {
		if seen[doc] {
			return
		}
		seen[doc] = true
		for _, x := range doc.Structs {
			d.types = append(d.types, x)
		}
		for _, x := range doc.Enums {
			d.types = append(d.types, x)
		}
		for _, x := range doc.Typedefs {
			d.types = append(d.types, x)
		}
		for _, x := range doc.Consts {
			d.types = append(d.types, x)
		}
		for _, x := range doc.Includes {
			add(x)
		}
	}
	add(doc)
	return d
}

// describeOne is what name means: a service, a type, or a method.
func describeOne(doc *schema.Document, name string) (described, error) {
	switch x := doc.Lookup(strings.ReplaceAll(name, "/", ".")).(type) {
	case nil:
	case *schema.Service:
		return described{services: []*schema.Service{x}, from: doc}, nil
	default:
		return described{types: []any{x}, from: doc}, nil
	}
	if m, err := findMethod(doc, name); err == nil {
		return described{methods: []*schema.Method{m}, types: reachable(m), from: doc}, nil
	}
	all := append(serviceNames(doc), typeNames(describeAll(doc).types)...)
	for _, s := range doc.AllServices() {
		for _, m := range s.Methods {
			all = append(all, m.Name, serviceName(s, doc)+"."+m.Name)
		}
	}
	return described{}, usageError("%s has no service, method or type %q%s", doc.Path, name, codec.DidYouMean(name, all))
}

func typeNames(types []any) (names []string) {
	for _, t := range types {
		switch x := t.(type) {
		case *schema.StructType:
			names = append(names, x.Name)
		case *schema.EnumType:
			names = append(names, x.Name)
		case *schema.Typedef:
			names = append(names, x.Name)
		case *schema.Const:
			names = append(names, x.Name)
		}
	}
	return names
}

// reachable returns the structs and enums that a method's arguments and results lead to, each once, in the order in which they are met.
func reachable(m *schema.Method) (types []any) {
	seen := map[any]bool{}
	var walk func(*schema.Type)
	fields := func(s *schema.StructType) {
		for _, f := range s.Fields {
			walk(f.Type)
		}
	}
	walk = func(t *schema.Type) {
		switch {
		case t == nil:
		case t.Struct != nil && !seen[t.Struct]:
			seen[t.Struct] = true
			types = append(types, t.Struct)
			fields(t.Struct)
		case t.Enum != nil && !seen[t.Enum]:
			seen[t.Enum] = true
			types = append(types, t.Enum)
		case t.Struct == nil && t.Enum == nil:
			walk(t.Key)
			walk(t.Elem)
		}
	}
	fields(m.Args)
	fields(m.Result)
	return types
}
