package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "thriftloom",
		Short: "Thrift services at scale: a gateway, and the command line beside it",
		Long: `Thriftloom puts a fleet of Thrift servers behind one address, balances each call, and watches over it.
It loads .thrift files at run time and calls any Thrift server from the command line.`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { a.running = true },
	}
	root.RunE = func(*cobra.Command, []string) error {
		_ = root.Usage()
		return &exitError{exitUsage, nil}
	}
	root.Args = cobra.NoArgs
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(a.commands()...)
	return root
}

// The exit codes; those above 2 are call's.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitException   = 3 // the answer is an exception that the IDL declares
	exitUnreached   = 4 // no answer
	exitApplication = 5 // the answer is a TApplicationException
)

// exitError ends the program with a code. err is told on stderr; nil: all is said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }

func (e *exitError) Unwrap() error { return e.err }

// usageError says that the command was used wrongly.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode tells what went wrong in cmd, if anything did, and returns the program's exit code.
func (a *app) exitCode(cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	exit := new(exitError)
	switch {
	case errors.As(err, &exit):
	case a.running:
		exit = &exitError{exitFailed, err}
	default: // cobra's own: an unknown command or flag, too few arguments
		exit = &exitError{exitUsage, err}
	}
	if exit.err != nil {
		fmt.Fprintf(a.stderr, "thriftloom: %v\n", exit.err)
		if exit.code == exitUsage {
			fmt.Fprintf(a.stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		}
	}
	return exit.code
}
