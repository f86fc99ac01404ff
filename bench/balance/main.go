// Command balance measures what callers see of four real ThriftPy2 workers behind thriftloom, with its own policy and with others, and
// behind HAProxy, while one of the workers freezes, fails, dies or is slow. It takes rounds over all of them, one after the other on one
// machine and each second round backwards, so that what else goes on there meets them all. It prints Markdown and draws one frozen worker.
//
//	go run ./balance [-only 'REGEXP'] [-with 'REGEXP'] [-rounds 5] [-o ../docs/balance]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

func main() {
	cache, _ := os.UserCacheDir()
	var t tools
	flag.StringVar(&t.thriftloom, "thriftloom", "../bin/thriftloom", "the `file`")
	flag.StringVar(&t.haproxy, "haproxy", "haproxy", "the `file`")
	flag.StringVar(&t.python, "python", filepath.Join(cache, "thriftloom/venv/bin/python"), "the `file`, of one that has thriftpy2")
	rounds := flag.Int("rounds", 5, "`number` of rounds")
	only := flag.String("only", "", "scenarios that match the `regexp`")
	with := flag.String("with", "", "contenders that match the `regexp`")
	dir := flag.String("o", "", "the `folder` for the picture of a frozen worker; none where there is no folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, t, *only, *with, *rounds, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "balance:", err)
		os.Exit(1)
	}
}

// tools are the programs that are measured: paths.
type tools struct{ thriftloom, haproxy, python string }

// versions are the programs and their versions, in Markdown.
func (t tools) versions() (string, error) {
	var b strings.Builder
	for _, command := range [][]string{{t.thriftloom, "version"}, {t.haproxy, "-v"}, {t.python, "-c", "import thriftpy2; print('ThriftPy2', thriftpy2.__version__)"}} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", command[0], err, line)
		}
		fmt.Fprintf(&b, "- %s\n", line)
	}
	return b.String(), nil
}

// run plays the scenarios that match only with the contenders that match with.
func run(ctx context.Context, t tools, only, with string, rounds int, dir string) error {
	var err error
	if t.thriftloom, err = filepath.Abs(t.thriftloom); err != nil { // each process has a folder of its own
		return err
	}
	versions, err := t.versions()
	if err != nil {
		return err
	}
	scenarios, err := like(scenarios, only, func(s scenario) string { return s.name })
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	contenders, err := like(contenders, with, func(c contender) string { return c.name })
	if err != nil {
		return fmt.Errorf("-with: %w", err)
	}
	r := results{}
	for round := range rounds {
		for _, s := range scenarios {
			order := slices.Clone(contenders)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, c := range order {
				fmt.Fprintf(os.Stderr, "\rround %d of %d: %s, %s%20s", round+1, rounds, s.name, c.name, "")
				calls, err := play(ctx, t, s, c, uint64(round))
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, c.name, err)
				}
				r.add(s.name, c.name, calls)
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	fmt.Print(versions, "\n", r.markdown(scenarios, contenders))
	if dir == "" {
		return nil
	}
	return draw(filepath.Join(dir, "frozen.svg"), r)
}

// like returns those whose name matches the regexp; an error where none does.
func like[T any](all []T, pattern string, name func(T) string) ([]T, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	some := slices.DeleteFunc(slices.Clone(all), func(x T) bool { return !re.MatchString(name(x)) })
	if len(some) == 0 {
		return nil, fmt.Errorf("nothing matches %q", pattern)
	}
	return some, nil
}
