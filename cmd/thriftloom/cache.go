package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway/status"
)

func (a *app) newCache() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cache", Short: "Show and purge the replies that a running gateway keeps", Args: cobra.NoArgs,
		Example: "  thriftloom cache stats\n  thriftloom cache get Users.getUser '{\"id\": 7}'\n  thriftloom cache purge Users --tag user:7",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_ = cmd.Usage()
		return &exitError{exitUsage, nil}
	}
	cmd.AddCommand(a.newCacheStats(), a.newCacheGet(), a.newCachePurge())
	return cmd
}

func (a *app) newCacheStats() *cobra.Command {
	flags := &adminFlags{}
	cmd := &cobra.Command{
		Use: "stats [SERVICE[.METHOD]]", Short: "Show what the cache did for each method", Args: cobra.MaximumNArgs(1),
		Long: `stats shows what the cache did for each method since the gateway began, how much memory the replies take, and how it is with the stores.
The hit ratio is the part of the calls that needed none at the upstream: answered out of the process (not a column), out of the store, with
an older reply, or with the reply to an equal call. Entries are those in memory: one that is void goes when it is asked for, or for room.`,
		Example: "  thriftloom cache stats\n  thriftloom cache stats Users.getUser -o json",
	}
	flags.add(cmd)
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.adminClient(flags)
		if err != nil {
			return err
		}
		r, err := c.cacheReport(cmd.Context())
		if err == nil && len(args) == 1 {
			err = only(&r, args[0])
		}
		if err != nil {
			return err
		}
		if output.word == "json" {
			return printJSON(a.stdout, r)
		}
		_, err = fmt.Fprint(a.stdout, cacheText(&r))
		return err
	}
	cmd.ValidArgsFunction = a.completeCached(flags, func(status.CachedMethod) bool { return true }, true)
	return cmd
}

func (c *adminClient) cacheReport(ctx context.Context) (r status.CacheReport, err error) {
	err = c.doJSON(ctx, "GET", "/api/v1/cache", nil, &r)
	return r, err
}

// only leaves of a report what target names.
func only(r *status.CacheReport, target string) error {
	all := r.Methods
	r.Methods = []status.CachedMethod{}
	for _, m := range all {
		if target == m.Service || target == m.Service+"/" || target == m.Service+"."+m.Method || target == m.Service+"/"+m.Method {
			r.Methods = append(r.Methods, m)
		}
	}
	if len(r.Methods) == 0 {
		return fmt.Errorf("%s has no cache", target)
	}
	return nil
}

// cacheGet are the flags of cache get.
type cacheGet struct {
	admin   adminFlags
	data    string
	caller  []string
	headers []string
	output  *choice
}

func (a *app) newCacheGet() *cobra.Command {
	f := &cacheGet{}
	cmd := &cobra.Command{
		Use: "get SERVICE.METHOD [ARGUMENTS]", Short: "Show what is kept of the reply to a call", Args: cobra.RangeArgs(1, 2),
		Long: `get shows the reply that is kept to a call, where it is, and how old. It calls nothing, and changes no count. ARGUMENTS is a JSON object by
argument names; @file reads it from a file, - from standard input. Where replies are each caller's own --caller says whose: all of its
verified identities in their order, or the name that it gives itself. The gateway leaves an audit line.

Exit codes: 0 a reply is kept, 1 none is, or anything else, 2 wrong usage.`,
		Example: `  thriftloom cache get Users.getUser '{"id": 7}'
  thriftloom cache get Users.getUser -d @request.json --caller user:alice -o json`,
	}
	f.admin.add(cmd)
	addData(cmd, &f.data)
	cmd.Flags().StringArrayVar(&f.caller, "caller", nil, "whose reply, by `name` (repeatable)")
	cmd.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "transport header `key=value` of the call, where vary names it (repeatable)")
	f.output = addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.cacheGet(cmd, f, args) }
	cmd.ValidArgsFunction = a.completeCached(&f.admin, keepsReplies, false)
	return cmd
}

func addData(cmd *cobra.Command, data *string) {
	cmd.Flags().StringVarP(data, "data", "d", "", "the arguments: `JSON`, @file, or - for standard input")
}

func (a *app) cacheGet(cmd *cobra.Command, f *cacheGet, args []string) error {
	of := status.CachedCall{Caller: f.caller, Headers: map[string]string{}}
	for _, h := range f.headers {
		key, value, ok := strings.Cut(h, "=")
		if !ok || key == "" {
			return usageError("-H %q: want key=value", h)
		}
		of.Headers[key] = value
	}
	var err error
	if of.Service, of.Method, err = cacheTarget(args[0]); err != nil {
		return err
	}
	if of.Method == "" {
		return usageError("which method? write SERVICE.METHOD")
	}
	if of.Arguments, err = a.cacheArguments(cmd, f.data, args[1:]); err != nil {
		return err
	}
	c, err := a.adminClient(&f.admin)
	if err != nil {
		return err
	}
	var answer struct{ Kept *status.CachedReply }
	switch err := c.doJSON(cmd.Context(), "POST", "/api/v1/cache/get", of, &answer); {
	case err != nil:
		return err
	case answer.Kept == nil:
		return errors.New("nothing is kept")
	case f.output.word == "json":
		return printJSON(a.stdout, answer.Kept)
	}
	return a.printKept(&of, answer.Kept)
}

// printKept writes where a reply is, and below that its value, if it has one, on a terminal indented.
func (a *app) printKept(of *status.CachedCall, r *status.CachedReply) error {
	fmt.Fprintf(a.stdout, "%s.%s: %s\n", of.Service, of.Method, keptText(r))
	if r.Value == nil {
		return nil
	}
	form := json.Compact
	if onTerminal(a.stdout) {
		form = func(to *bytes.Buffer, text []byte) error { return json.Indent(to, text, "", "  ") }
	}
	var value bytes.Buffer
	if err := form(&value, r.Value); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s\n", value.Bytes())
	return err
}

// cacheTarget parts SERVICE.METHOD; method is "" for a service: SERVICE, or SERVICE/ where its label has a dot.
func cacheTarget(name string) (service, method string, err error) {
	if whole, ok := strings.CutSuffix(name, "/"); ok || !strings.ContainsAny(name, "./") {
		service = whole
	} else if service, method = splitTarget(name); method == "" {
		service = ""
	}
	if service == "" {
		return "", "", usageError("%q: want SERVICE or SERVICE.METHOD", name)
	}
	return service, method, nil
}

// cacheArguments returns the arguments of a call as JSON, from --data or behind the method.
func (a *app) cacheArguments(cmd *cobra.Command, data string, behind []string) (json.RawMessage, error) {
	if len(behind) > 0 {
		if cmd.Flags().Changed("data") {
			return nil, usageError("the arguments are given twice: by --data and behind the method")
		}
		data = behind[0]
	}
	text, err := a.readInput(data)
	if err == nil && !json.Valid(text) {
		err = usageError("the arguments are not JSON")
	}
	return text, err
}

func keepsReplies(m status.CachedMethod) bool { return m.TTLSeconds > 0 }

// completeTime bounds how long a gateway may take to answer while somebody waits for names.
const completeTime = time.Second

// completeCached completes the first argument: methods with a cache of the gateway that runs, and with services their services.
func (a *app) completeCached(flags *adminFlags, is func(status.CachedMethod) bool, services bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
		c, err := a.adminClient(flags)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completeTime)
		defer cancel()
		r, err := c.cacheReport(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		dot, last := ".", ""
		if strings.Contains(begun, "/") {
			dot = "/"
		}
		for _, m := range r.Methods {
			if !is(m) {
				continue
			}
			if services && m.Service != last {
				found, last = append(found, m.Service), m.Service
			}
			found = append(found, m.Service+dot+m.Method)
		}
		return completeNames(found, begun), cobra.ShellCompDirectiveNoFileComp
	}
}
