package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) newDrain() *cobra.Command {
	flags := &adminFlags{}
	cmd := &cobra.Command{
		Use: "drain", Short: "Let a running gateway answer what it has, then end", Args: cobra.NoArgs,
		Long:    "drain begins what SIGTERM begins: the gateway is not ready any more, answers what it has read, and ends. It does not wait for that.",
		Example: "  thriftloom drain",
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.adminClient(flags)
		if err != nil {
			return err
		}
		if _, err := c.do(cmd.Context(), "POST", "/api/v1/drain"); err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, "draining")
		return err
	}
	return cmd
}
