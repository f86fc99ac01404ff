package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) newHealthcheck() *cobra.Command {
	flags := &adminFlags{}
	var service string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "healthcheck", Short: "Exit 0 if a running gateway is ready, else 1", Args: cobra.NoArgs,
		Long:    "healthcheck asks /readyz, which the admin and the health listener have: for container health checks and scripts.",
		Example: "  thriftloom healthcheck\n  thriftloom healthcheck --admin 127.0.0.1:9902 --service Users",
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&service, "service", "", "judge one service, by its `label`")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the gateway may take to answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.adminClient(flags)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		path := "/readyz"
		if service != "" {
			path += "?service=" + url.QueryEscape(service)
		}
		status, body, err := c.ask(ctx, "GET", path)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			fmt.Fprintf(a.stderr, "%s", body)
			return &exitError{code: exitFailed}
		}
		_, err = a.stdout.Write(body)
		return err
	}
	return cmd
}
