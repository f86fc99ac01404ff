package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway"
)

func (a *app) newReload() *cobra.Command {
	flags := &adminFlags{}
	var force bool
	cmd := &cobra.Command{
		Use: "reload", Short: "Let a running gateway read its config anew", Args: cobra.NoArgs,
		Long: `reload lets a running gateway read its config and IDLs anew. A service that is broken there keeps its last good version: reload
then prints the mistakes and exits 1. So does a service that would lose methods, which callers may be using; --force takes that over. A
service whose section is taken out of the file goes without it. Warnings tell what an IDL breaks on the wire, and what takes a restart.`,
		Example: "  thriftloom reload\n  thriftloom reload --admin 127.0.0.1:9091 --token-file admin.token",
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "take over IDLs that have lost methods")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.adminClient(flags)
		if err != nil {
			return err
		}
		path := "/api/v1/reload"
		if force {
			path += "?force=true"
		}
		body, err := c.do(cmd.Context(), "POST", path)
		if err != nil {
			return err
		}
		var result gateway.ReloadResult
		if err := json.Unmarshal(body, &result); err != nil {
			return fmt.Errorf("%s does not answer as a gateway: %w", c.address, err)
		}
		for _, m := range result.Mistakes {
			fmt.Fprintln(a.stderr, m)
		}
		for _, w := range result.Warnings {
			fmt.Fprintln(a.stderr, "warning:", w)
		}
		what := "nothing has changed"
		if result.Changed {
			what = "reloaded"
		}
		fmt.Fprintf(a.stdout, "%s: %s\n", what, result.Hash)
		if len(result.Stale) > 0 {
			return fmt.Errorf("%s: still as before", strings.Join(result.Stale, ", "))
		}
		if len(result.Mistakes) > 0 {
			return errors.New("what has mistakes is left out")
		}
		return nil
	}
	return cmd
}
