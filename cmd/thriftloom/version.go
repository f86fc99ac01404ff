package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what this binary was built from.
type buildVersion struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Changed  bool   `json:"changed,omitempty"` // there were changes on top of the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// readVersion reads what Go's linker wrote into the binary.
func readVersion() buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Changed = s.Value == "true"
		}
	}
	return v
}

func (a *app) newVersion() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  thriftloom version -o json"}
	output := addOutput(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := readVersion()
		if output.word == "json" {
			return printJSON(a.stdout, v)
		}
		commit := v.Commit
		if commit == "" {
			commit = "unknown"
		}
		_, err := fmt.Fprintf(a.stdout, "thriftloom %s (commit %s, %s, %s)\n", v.Version, commit, v.Go, v.Platform)
		return err
	}
	return cmd
}
