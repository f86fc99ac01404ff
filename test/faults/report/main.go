// Report runs the tests that the files *.rows name and prints a table: each fault case, whether its test passed, and how long it took.
//
//	go run ./test/faults/report [-json FILE] [FOLDER]
//
// It exits with 0 only where every case passed. A case whose test did not run, or was skipped, is missing: it counts against that.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	from := flag.String("json", "", "read what `go test -json` wrote from this file, - for standard input, instead of running the tests")
	flag.Parse()
	dir := "test/faults"
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	ok, err := report(os.Stdout, dir, *from)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// report prints the table of the rows in dir, and reports whether every case passed.
func report(w io.Writer, dir, from string) (ok bool, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.rows"))
	if err != nil {
		return false, err
	}
	rows, err := readRows(files)
	if err != nil {
		return false, err
	}
	events, wait, err := source(rows, from)
	if err != nil {
		return false, err
	}
	results, err := readEvents(events)
	if failed := wait(); err == nil && len(results) == 0 {
		err = failed // a test that fails makes go test fail too; that is in the table
	}
	if err != nil {
		return false, err
	}
	return printTable(w, rows, results), nil
}

// source returns the events of a file or of a run, and what waits for their end.
func source(rows []row, from string) (io.Reader, func() error, error) {
	none := func() error { return nil }
	switch from {
	case "":
	case "-":
		return os.Stdin, none, nil
	default:
		f, err := os.Open(from)
		return f, none, err
	}
	cmd := exec.Command("go", command(rows)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return out, cmd.Wait, cmd.Start()
}
