package main

import (
	"fmt"
	"io"
	"slices"

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
	Breaks   []finding `json:"breaks,omitempty"` // with --against
	Explain  string    `json:"explain,omitempty"`
}

func (a *app) newCheck() *cobra.Command {
	var path, against string
	var explain bool
	cmd := &cobra.Command{
		Use: "check", Short: "Find every mistake in the config and its IDLs", Args: cobra.NoArgs,
		Long: `check reads the config and the IDLs that it names, and prints each mistake as PATH:LINE:COL: KEY: text.
It opens no port and dials nothing. Warnings go to standard error. With --against it also prints what programs that know the services of
another config, or another version of this one, would miss: methods that are gone, and what the IDLs break on the wire.`,
		Example: "  thriftloom check\n  thriftloom check -c thriftloom.yaml --explain\n  thriftloom check --against deployed/thriftloom.yaml",
	}
	addConfig(cmd, &path, "thriftloom.yaml")
	cmd.Flags().BoolVar(&explain, "explain", false, "also tell which ports, files, rights and peers it takes")
	cmd.Flags().StringVar(&against, "against", "", "another config `file`: fail on what breaks for programs that know its services")
	_ = cmd.MarkFlagFilename("against", "yaml", "yml")
	output := addOutput(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		loaded := gateway.Load(path, a.env)
		var breaks []strictyaml.Mistake
		if against != "" {
			old := gateway.Load(against, a.env)
			if old.Config == nil {
				return a.refuseMistakes(old)
			}
			breaks = loaded.Against(old)
		}
		return a.check(loaded, breaks, explain, output.word == "json")
	}
	return cmd
}

func (a *app) check(loaded *gateway.Loaded, breaks []strictyaml.Mistake, explain, asJSON bool) error {
	result := checked{
		OK: len(loaded.Mistakes)+len(breaks) == 0, Mistakes: findings(loaded.Mistakes), Warnings: findings(loaded.Warnings), Breaks: findings(breaks),
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
		for _, m := range slices.Concat(loaded.Mistakes, breaks) {
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
