package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// choice is a flag that takes one of some words.
type choice struct {
	word  string
	words []string
}

func (c *choice) String() string { return c.word }

// Set implements pflag.Value.
func (c *choice) Set(word string) error {
	if slices.Contains(c.words, word) {
		c.word = word
		return nil
	}
	return fmt.Errorf("want one of %s", strings.Join(c.words, ", "))
}

// Type implements pflag.Value; the help shows it.
func (c *choice) Type() string { return strings.Join(c.words, "|") }

// add makes c a flag of cmd. The first word is the default, unless c has a word.
func (c *choice) add(cmd *cobra.Command, name, short, usage string) *choice {
	if c.word == "" {
		c.word = c.words[0]
	}
	cmd.Flags().VarP(c, name, short, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return c
}

// addOutput adds -o.
func addOutput(cmd *cobra.Command) *choice {
	return (&choice{words: []string{"text", "json"}}).add(cmd, "output", "o", "form of the output")
}

// addConfig adds -c.
func addConfig(cmd *cobra.Command, path *string, preset string) {
	cmd.Flags().StringVarP(path, "config", "c", preset, "config `file`")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// printJSON writes v, indented.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// onTerminal reports whether people read w.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
