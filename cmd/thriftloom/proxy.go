package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway"
)

// proxyName is how mistakes name the file that proxy does not write.
const proxyName = "(proxy)"

// proxyFlags are what becomes a config.
type proxyFlags struct {
	idl       idlFlags
	service   string
	server    string
	slots     int
	transport string
	protocol  string
	timeout   time.Duration
	admin     string
}

func (a *app) newProxy() *cobra.Command {
	f := &proxyFlags{}
	cmd := &cobra.Command{
		Use: "proxy LISTEN HOST:PORT...", Short: "Run a gateway without a config file", Args: cobra.MinimumNArgs(2),
		Long: "proxy puts the servers at HOST:PORT… behind the address LISTEN. It prints the config file that does the same on standard output, and\n" +
			"writes nothing.",
		Example: "  thriftloom proxy :6100 10.0.0.1:6000 10.0.0.2:6000 -i users.thrift --server gunicorn-sync --slots 4",
	}
	f.idl.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.service, "service", "", "the service's `name` in the IDL; not needed where there is one")
	flags.StringVar(&f.server, "server", "", "how the servers serve: `KIND` is threaded, simple, gunicorn-sync, gunicorn-gevent, gunicorn-async, aio, tornado or concurrent")
	flags.IntVar(&f.slots, "slots", 0, "calls that one server works at, at one time (default by --server)")
	flags.StringVar(&f.transport, "transport", "", "what the servers speak: `buffered` or framed (default by --server)")
	flags.StringVar(&f.protocol, "protocol", "", "encoding that the servers speak (default `binary`)")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long a call may take (default 60s)")
	flags.StringVar(&f.admin, "admin", "", "`ADDRESS` of dashboard, API and metrics (default none)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text, err := f.yaml(args[0], args[1:])
		if err != nil {
			return err
		}
		fmt.Fprint(a.stdout, text)
		loaded := gateway.LoadBytes(proxyName, []byte(text), a.env)
		for _, m := range loaded.Mistakes {
			fmt.Fprintln(a.stderr, m)
		}
		if n := len(loaded.Mistakes); n > 0 {
			return usageError("%d mistakes in what the flags come to", n)
		}
		return a.serve(cmd.Context(), loaded, upOptions{})
	}
	return cmd
}

// yaml returns the config file that does what the flags say.
func (f *proxyFlags) yaml(listen string, servers []string) (string, error) {
	doc, err := f.idl.load()
	if err != nil {
		return "", err
	}
	service, err := findService(doc, f.service)
	if err != nil {
		return "", err
	}
	label, name := service.Name, serviceName(service, doc)
	var b strings.Builder
	line := func(indent int, key, value string) {
		fmt.Fprintf(&b, "%*s%s: %s\n", indent, "", key, value)
	}
	b.WriteString("# thriftloom.yaml, as the flags say it: `thriftloom up` with this file does the same.\n")
	if f.admin != "" {
		line(0, "admin", quoteYAML(f.admin))
	}
	b.WriteString("services:\n")
	fmt.Fprintf(&b, "  %s:\n", label)
	if label != name {
		line(4, "service", quoteYAML(name))
	}
	if len(f.idl.include) == 0 {
		line(4, "idl", quoteYAML(f.idl.path))
	} else {
		line(4, "idl", fmt.Sprintf("{path: %s, include: %s}", quoteYAML(f.idl.path), listYAML(f.idl.include)))
	}
	line(4, "listen", quoteYAML(listen))
	b.WriteString("    upstream:\n")
	line(6, "endpoints", listYAML(servers))
	for _, x := range []struct{ key, value string }{{"server", f.server}, {"transport", f.transport}, {"protocol", f.protocol}} {
		if x.value != "" {
			line(6, x.key, quoteYAML(x.value))
		}
	}
	if f.slots != 0 {
		line(6, "slots", fmt.Sprint(f.slots))
	}
	if f.timeout != 0 {
		line(4, "timeout", f.timeout.String())
	}
	return b.String(), nil
}

// quoteYAML returns s as a value of a config, plain where that is the same.
func quoteYAML(s string) string {
	s = strings.ReplaceAll(s, "$", "$$") // a config expands variables
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("0123456789_./-", r))
	})
	if plain && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z' || s[0] == '/') && s != "null" && s != "true" && s != "false" {
		return s
	}
	return fmt.Sprintf("%q", s)
}

func listYAML(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = fmt.Sprintf("%q", strings.ReplaceAll(s, "$", "$$"))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
