package main

import (
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// shownMethod is a method with its service.
type shownMethod struct {
	name string // Users/getUser
	status.Method
}

// methodsWhere returns the methods of all services that is holds for.
func methodsWhere(s *status.Snapshot, is func(*status.Method) bool) (all []shownMethod) {
	for _, service := range s.Services {
		for _, m := range service.Methods {
			if is(&m) {
				all = append(all, shownMethod{service.Name + "/" + m.Name, m})
			}
		}
	}
	return all
}

// rolloutTables writes what there is of mirrors, canaries and faults: of methods with calls.
func rolloutTables(b *strings.Builder, s *status.Snapshot) {
	copied := methodsWhere(s, func(m *status.Method) bool {
		x := m.Mirror
		return x != nil && x.Same+x.Differ+x.Answered+x.MirrorFailed+x.MainFailed+x.Dropped > 0
	})
	table(b, "MIRROR\tTO\tPERCENT\tSAME\tDIFFER\tNOT COMPARED\tMIRROR FAILED\tMAIN FAILED\tDROPPED", len(copied), func(i int) []any {
		x := copied[i].Mirror
		return []any{copied[i].name, x.To, x.Percent, x.Same, x.Differ, x.Answered, x.MirrorFailed, x.MainFailed, x.Dropped}
	})
	type difference struct {
		method, path string
		calls        int64
	}
	var differ []difference
	for _, m := range copied {
		for _, p := range m.Mirror.Paths {
			differ = append(differ, difference{m.name, p.Path, p.Calls})
		}
		if n := m.Mirror.MorePaths; n > 0 {
			differ = append(differ, difference{m.name, "elsewhere besides", n})
		}
	}
	table(b, "MIRROR DIFFERS\tFIELD\tCALLS", len(differ), func(i int) []any { return []any{differ[i].method, differ[i].path, differ[i].calls} })
	split := methodsWhere(s, func(m *status.Method) bool {
		return m.Canary != nil && (m.Canary.Calls+m.Canary.MainCalls > 0 || m.Canary.Ended)
	})
	table(b, "CANARY\tTO\tPERCENT\tCALLS THERE\tCALLS ELSEWHERE\tSTATE", len(split), func(i int) []any {
		x, state := split[i].Canary, "on"
		if x.Ended {
			state = "ended: it failed"
		}
		return []any{split[i].name, x.To, x.Percent, x.Calls, x.MainCalls, state}
	})
	failed := methodsWhere(s, func(m *status.Method) bool { return m.Faults != nil && *m.Faults != (status.Faults{}) })
	table(b, "FAULTS\tDELAYED\tABORTED\tEXCEPTIONS", len(failed), func(i int) []any {
		x := failed[i].Faults
		return []any{failed[i].name, x.Delayed, x.Aborted, x.Excepted}
	})
}

// faulty returns the services whose calls fail on purpose.
func faulty(s *status.Snapshot) (names []string) {
	for _, service := range s.Services {
		if slices.ContainsFunc(service.Methods, func(m status.Method) bool { return m.Faults != nil }) {
			names = append(names, service.Name)
		}
	}
	return names
}
