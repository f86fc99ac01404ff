package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway/status"
)

func (a *app) newStatus() *cobra.Command {
	flags := &adminFlags{}
	cmd := &cobra.Command{
		Use: "status", Short: "Show what a running gateway does", Args: cobra.NoArgs,
		Example: "  thriftloom status\n  thriftloom status --admin unix:/run/thriftloom/admin.sock -o json",
	}
	flags.add(cmd)
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.adminClient(flags)
		if err != nil {
			return err
		}
		body, err := c.do(cmd.Context(), "GET", "/api/v1/snapshot")
		if err != nil {
			return err
		}
		if output.word == "json" {
			_, err = a.stdout.Write(body)
			return err
		}
		var s status.Snapshot
		if err := json.Unmarshal(body, &s); err != nil {
			return fmt.Errorf("%s does not answer with a snapshot: %w", c.address, err)
		}
		_, err = fmt.Fprint(a.stdout, statusText(&s))
		return err
	}
	return cmd
}

// statusText returns a snapshot as tables.
func statusText(s *status.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "thriftloom %s, up for %v, config %s (%s)%s\n", s.Version, seconds(s.UptimeSeconds, time.Second), s.Config.Path, s.Config.Hash, remarks(s))
	t := s.Totals
	fmt.Fprintf(&b, "calls %d  errors %d  in flight %d  queued %d  %.1f/s  p50 %v  p99 %v\n",
		t.Calls, t.Errors, t.InFlight, t.Queue, t.CallsPerSecond, seconds(t.P50Seconds, 10*time.Microsecond), seconds(t.P99Seconds, 10*time.Microsecond))
	cacheLines(&b, s.Cache)
	table(&b, "LISTENER\tSERVICES\tCONNECTIONS", len(s.Listeners), func(i int) []any {
		l := s.Listeners[i]
		return []any{l.Address, strings.Join(l.Services, ","), l.Connections}
	})
	table(&b, "SERVICE\tUPSTREAM\tMETHODS\tCALLS\tERRORS\tIN FLIGHT", len(s.Services), func(i int) []any { return serviceRow(&s.Services[i]) })
	breakerTable(&b, s)
	cacheTable(&b, s)
	rolloutTables(&b, s)
	type row struct {
		cluster  *status.Cluster
		endpoint status.Endpoint
	}
	var rows []row
	for i := range s.Clusters {
		for _, e := range s.Clusters[i].Endpoints {
			rows = append(rows, row{&s.Clusters[i], e})
		}
	}
	table(&b, "UPSTREAM\tENDPOINT\tSTATE\tIN FLIGHT\tSLOTS\tZOMBIES\tCONNECTIONS\tCALLS\tFAILURES\tLAST ERROR", len(rows), func(i int) []any {
		e, c := rows[i].endpoint, rows[i].cluster
		inFlight, slots := fmt.Sprint(e.InFlight), fmt.Sprint(e.Slots)
		if c.Viewed {
			inFlight += fmt.Sprintf(" (others %d)", e.Others)
		}
		if e.SlotsLearned {
			slots += " (auto)"
		}
		if c.Leased {
			slots = fmt.Sprintf("%d of %d", e.LeasedSlots, e.Slots)
		}
		return []any{
			c.Name, e.Name, e.State, inFlight, slots, e.Zombies, e.Connections, e.Calls, e.Failures, cmp.Or(e.LastErrorCode, "-"),
		}
	})
	var sources []status.Cluster
	for _, c := range s.Clusters {
		if c.Source != nil {
			sources = append(sources, c)
		}
	}
	table(&b, "SOURCE\tUPSTREAM\tSTATE\tSINCE\tENDPOINTS\tPROBLEM", len(sources), func(i int) []any {
		x := sources[i].Source
		return []any{x.Name, sources[i].Name, x.State, x.Since.Format(time.RFC3339), x.Endpoints, cmp.Or(x.Problem, "-")}
	})
	shed := slices.DeleteFunc(slices.Clone(s.Clusters), func(c status.Cluster) bool { return !c.Overloaded && shedText(c.Shed) == "-" })
	table(&b, "UPSTREAM\tQUEUED\tOVERLOADED\tSHED", len(shed), func(i int) []any {
		c := shed[i]
		return []any{c.Name, fmt.Sprintf("%d of %d", c.QueueCalls, c.QueueMax), map[bool]string{true: "yes", false: "no"}[c.Overloaded], shedText(c.Shed)}
	})
	table(&b, "REPLICA\tSERVICE\tSTATE\tPID\tRESTARTS\tSINCE\tLAST EXIT", len(s.Replicas), func(i int) []any {
		r := s.Replicas[i]
		return []any{r.Name, r.Service, r.State, r.PID, r.Restarts, r.Since.Format(time.RFC3339), cmp.Or(r.LastExit, "-")}
	})
	if g := s.Gateways; g != nil {
		table(&b, "GATEWAY\tADDRESS\tSTATE\tARBITER\tCALLS\tTOLD", len(g.Members), func(i int) []any { return memberRow(g, &g.Members[i]) })
	}
	table(&b, "CERTIFICATES\tNAMES\tNOT AFTER\tPROBLEM", len(s.Certificates), func(i int) []any {
		c := s.Certificates[i]
		return []any{c.File, strings.Join(c.Names, ","), c.NotAfter.Format(time.RFC3339), cmp.Or(c.Problem, "-")}
	})
	return b.String()
}

// shedText is how many calls were refused for want of a slot, by priority.
func shedText(all []status.Shed) string {
	var parts []string
	for _, x := range all {
		if n := x.Full + x.Crowd + x.Waited + x.Late; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", x.Priority, n))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

func remarks(s *status.Snapshot) (text string) {
	if s.Draining {
		text += ", draining"
	}
	if g := s.Gateways; g != nil && g.Static {
		text += ", a gateway is cut off: each keeps to its share of the slots"
	}
	if on := faulty(s); len(on) > 0 {
		text += ", faults are on: " + strings.Join(on, ", ")
	}
	if open := refused(s); len(open) > 0 {
		text += ", a breaker is open: " + strings.Join(open, ", ")
	}
	for _, c := range s.Clusters {
		if c.Overloaded {
			text += ", overloaded: " + c.Name
		}
	}
	if len(s.Config.Stale) > 0 {
		text += ", stale: " + strings.Join(s.Config.Stale, ", ")
	}
	return text
}

func serviceRow(s *status.Service) []any {
	var sum status.Method
	for _, m := range s.Methods {
		sum.Calls += m.Calls
		sum.Errors += m.Errors
		sum.InFlight += m.InFlight
	}
	return []any{s.Name, s.Upstream, len(s.Methods), sum.Calls, sum.Errors, sum.InFlight}
}

// memberRow is a gateway with what it has said of its calls.
func memberRow(g *status.Gateways, m *status.Member) []any {
	arbiter, calls, told := "no", "-", "-"
	if m.Name == g.Arbiter {
		arbiter = "yes"
	}
	if w := m.Word; w != nil {
		calls, told = fmt.Sprint(w.Calls), fmt.Sprintf("%v ago", seconds(w.AgeSeconds, 10*time.Millisecond))
	}
	return []any{cmp.Or(m.Name, "-"), cmp.Or(m.Address, "-"), m.State, arbiter, calls, told}
}

// table writes n rows below a head, unless there are none.
func table(b *strings.Builder, head string, n int, row func(i int) []any) {
	if n == 0 {
		return
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\n", head)
	for i := range n {
		var cells []string
		for _, c := range row(i) {
			cells = append(cells, fmt.Sprint(c))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // b takes all
}

func seconds(s float64, unit time.Duration) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(unit)
}
