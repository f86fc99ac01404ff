package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// breakerTable writes the methods that are refused to some of their callers.
func breakerTable(b *strings.Builder, s *status.Snapshot) {
	type row struct {
		service string
		status.Broken
	}
	var rows []row
	for _, service := range s.Services {
		if x := service.Breaker; x != nil {
			for _, open := range x.Open {
				rows = append(rows, row{service.Name, open})
			}
		}
	}
	table(b, "BREAKER\tCALLERS\tSINCE\tNEXT TRY\tREFUSED TO", len(rows), func(i int) []any {
		x := rows[i]
		return []any{x.service + "/" + x.Method, x.Callers, x.Since.Format(time.RFC3339), x.Next.Format(time.RFC3339), callersText(&x.Broken)}
	})
}

// callersText names callers as they may be shown on a terminal: what they are called is their own choice.
func callersText(x *status.Broken) string {
	var names []string
	for _, n := range x.Names {
		quoted := strconv.Quote(n)
		names = append(names, quoted[1:len(quoted)-1])
	}
	if more := x.Callers - len(x.Names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// refused returns the services of which a breaker refuses calls.
func refused(s *status.Snapshot) (names []string) {
	for _, service := range s.Services {
		if service.Breaker != nil && len(service.Breaker.Open) > 0 {
			names = append(names, service.Name)
		}
	}
	return names
}
