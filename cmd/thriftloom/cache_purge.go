package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// cachePurge are the flags of cache purge.
type cachePurge struct {
	admin     adminFlags
	data, tag string
	all       bool
	output    *choice
}

func (a *app) newCachePurge() *cobra.Command {
	f := &cachePurge{}
	cmd := &cobra.Command{
		Use: "purge [SERVICE[.METHOD [ARGUMENTS]]]", Short: "Make kept replies void", Args: cobra.MaximumNArgs(2),
		Long: `purge makes replies void: those to one call (whoever makes it), of a method, of a service, with a tag of a service, or with --all every one.
When it ends this gateway answers with none of them any more. Other gateways are told; a store that does not answer now is told as soon as it
does, and a warning says so. ARGUMENTS is a JSON object by argument names; @file reads it from a file, - from standard input.
SERVICE/ is a whole service too, where its label has a dot.`,
		Example: `  thriftloom cache purge Users.getUser '{"id": 7}'
  thriftloom cache purge Users.getUser
  thriftloom cache purge Users --tag user:7
  thriftloom cache purge --all`,
	}
	f.admin.add(cmd)
	addData(cmd, &f.data)
	cmd.Flags().StringVar(&f.tag, "tag", "", "the replies of the service with this `tag`")
	cmd.Flags().BoolVar(&f.all, "all", false, "the replies of all services")
	f.output = addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.cachePurge(cmd, f, args) }
	cmd.ValidArgsFunction = a.completeCached(&f.admin, keepsReplies, true)
	return cmd
}

// purgeBody is what the API is told of a purge besides service and method.
type purgeBody struct {
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Tag       string          `json:"tag,omitempty"`
}

func (a *app) cachePurge(cmd *cobra.Command, f *cachePurge, args []string) error {
	query, body, err := a.planPurge(cmd, f, args)
	if err != nil {
		return err
	}
	c, err := a.adminClient(&f.admin)
	if err != nil {
		return err
	}
	var done status.Purged
	if err := c.doJSON(cmd.Context(), "DELETE", "/api/v1/cache?"+query.Encode(), body, &done); err != nil {
		return err
	}
	if len(done.Untold) > 0 {
		fmt.Fprintf(a.stderr, "warning: not told yet, since it does not answer: %s. It is told as soon as it does; until then other gateways may answer with what it has\n",
			strings.Join(done.Untold, ", "))
	}
	if f.output.word == "json" {
		return printJSON(a.stdout, done)
	}
	_, err = fmt.Fprintf(a.stdout, "purged: %s\n", purgedText(&done))
	return err
}

// planPurge finds out what is to be void, and refuses what may not be meant.
func (a *app) planPurge(cmd *cobra.Command, f *cachePurge, args []string) (query url.Values, body purgeBody, err error) {
	tagged, given := cmd.Flags().Changed("tag"), cmd.Flags().Changed("data") || len(args) > 1
	switch {
	case f.all && (len(args) > 0 || tagged || given):
		return nil, body, usageError("--all stands alone")
	case f.all:
		return nil, body, nil
	case len(args) == 0:
		return nil, body, usageError("what? write SERVICE or SERVICE.METHOD, or --all")
	case args[0] == "":
		return nil, body, usageError(`"": want SERVICE or SERVICE.METHOD`)
	case tagged && f.tag == "":
		return nil, body, usageError("--tag is empty")
	case tagged && given:
		return nil, body, usageError("a tag is of a service: --tag takes no arguments beside it")
	}
	service, method := args[0], ""
	if !tagged {
		if service, method, err = cacheTarget(args[0]); err != nil {
			return nil, body, err
		}
	}
	query = url.Values{"service": {service}}
	if method != "" {
		query.Set("method", method)
	}
	if body.Tag = f.tag; given {
		if method == "" {
			return nil, body, usageError("which method has these arguments? write SERVICE.METHOD")
		}
		body.Arguments, err = a.cacheArguments(cmd, f.data, args[1:])
	}
	return query, body, err
}
