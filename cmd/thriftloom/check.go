package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// finding is a mistake or a warning as -o json writes it.
type finding struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
	Key  string `json:"key"`
	Text string `json:"text"`
}

// checked is what check -o json writes.
type checked struct {
	OK       bool      `json:"ok"`
	Services int       `json:"services"`
	Mistakes []finding `json:"mistakes"`
	Warnings []finding `json:"warnings"`
	Explain  string    `json:"explain,omitempty"`
}

func (a *app) newCheck() *cobra.Command {
	var path string
	var explain bool
	cmd := &cobra.Command{
		Use: "check", Short: "Find every mistake in the config and its IDLs", Args: cobra.NoArgs,
		Long: `check reads the config and the IDLs that it names, and prints each mistake as PATH:LINE:COL: KEY: text.
It opens no port and dials nothing. Warnings go to standard error.`,
		Example: "  thriftloom check\n  thriftloom check -c thriftloom.yaml --explain",
	}
	addConfig(cmd, &path, "thriftloom.yaml")
	cmd.Flags().BoolVar(&explain, "explain", false, "also tell which ports, files, rights and peers it takes")
	output := addOutput(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		return a.check(gateway.Load(path, a.env), explain, output.word == "json")
	}
	return cmd
}

func (a *app) check(loaded *gateway.Loaded, explain, asJSON bool) error {
	result := checked{
		OK: len(loaded.Mistakes) == 0, Mistakes: findings(loaded.Mistakes), Warnings: findings(loaded.Warnings),
	}
	if loaded.Config != nil {
		result.Services = len(loaded.Config.Services)
	}
	if result.OK && explain {
		result.Explain = gateway.Explain(loaded.Config)
	}
	if asJSON {
		if err := printJSON(a.stdout, result); err != nil {
			return err
		}
	} else {
		a.printWarnings(a.stderr, loaded)
		for _, m := range loaded.Mistakes {
			fmt.Fprintln(a.stdout, m)
		}
		if result.OK {
			fmt.Fprintf(a.stdout, "ok: %d services\n%s", result.Services, result.Explain)
		}
	}
	if !result.OK {
		return &exitError{code: exitFailed}
	}
	return nil
}

func (a *app) printWarnings(w io.Writer, loaded *gateway.Loaded) {
	for _, m := range loaded.Warnings {
		fmt.Fprintln(w, "warning:", m)
	}
}

func findings(mistakes []strictyaml.Mistake) []finding {
	all := make([]finding, 0, len(mistakes))
	for _, m := range mistakes {
		all = append(all, finding(m))
	}
	return all
}
