// Command thriftloom runs Thrift services at scale: a gateway, and the command line beside it.
package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv, alone: true}
	os.Exit(a.run(os.Args[1:]))
}

// run is the whole program but for what concerns the process: it does what args say and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) (string, bool)) int {
	return (&app{stdin: stdin, stdout: stdout, stderr: stderr, env: env}).run(args)
}

func (a *app) run(args []string) int {
	root := a.newRoot()
	root.SetArgs(append([]string{}, args...))
	cmd, err := root.ExecuteC()
	return a.exitCode(cmd, err)
}

// app is what every command has: its streams and its environment.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	alone          bool // the process is this program's, and may be tuned to it
	running        bool // a command's own work has begun: what fails from here on is no wrong usage
}

// commands returns every command, in the order of the help.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.newUp(), a.newCheck(), a.newProxy(),
		a.newCall(), a.newBench(), a.newDescribe(),
		a.newStatus(), a.newCache(), a.newReload(), a.newDrain(), a.newHealthcheck(),
		newDemo(readVersion().Version), newDemoReplica(),
		a.newVersion(),
	}
}
