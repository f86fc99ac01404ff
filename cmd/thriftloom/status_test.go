package main

import (
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// Status shows what an operator looks for when slots are lent and certificates run out.
func TestStatusOfGatewaysAndCertificates(t *testing.T) {
	s := &status.Snapshot{
		Clusters: []status.Cluster{{Name: "users", Leased: true, Endpoints: []status.Endpoint{{Name: "users-1", State: "up", Slots: 4, LeasedSlots: 1}}}},
		Gateways: &status.Gateways{Name: "a", Arbiter: "a", Static: true, Members: []status.Member{
			{Name: "a", State: "self"}, {Address: "10.0.0.2:7000", State: "cut off"},
		}},
		Certificates: []status.Certificate{{
			File: "server.pem", Names: []string{"users.acme"}, NotAfter: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Problem: "expired",
		}},
	}
	got := strings.Join(strings.Fields(statusText(s)), " ")
	for _, want := range []string{
		"users users-1 up 0 1 of 4", "a - self yes - -", "- 10.0.0.2:7000 cut off no - -", "server.pem users.acme 2027-01-02T03:04:05Z expired",
		"a gateway is cut off",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("status lacks %q:\n%s", want, statusText(s))
		}
	}
}

// Status shows which methods are refused to whom and until when, and no caller's name brings anything but printable characters to the terminal.
func TestStatusOfBreakers(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)
	s := &status.Snapshot{Services: []status.Service{
		{Name: "Users", Breaker: &status.Breaker{Refused: 70, Open: []status.Broken{
			{Method: "getUser", Callers: 12, Names: []string{"10.0.0.7", "web\x1b[2J\n\t"}, Since: since, Next: since.Add(4 * time.Second)},
			{Method: "report", Callers: 1, Names: []string{"batch"}, Since: since, Next: since.Add(time.Second)},
		}}},
		{Name: "Orders", Breaker: &status.Breaker{Open: []status.Broken{}}},
		{Name: "Mail"},
	}}
	got := strings.Join(strings.Fields(statusText(s)), " ")
	want := "BREAKER CALLERS SINCE NEXT TRY REFUSED TO Users/getUser 12 2026-03-01T12:00:05Z 2026-03-01T12:00:09Z 10.0.0.7, web\\x1b[2J\\n\\t, 10 more" +
		" Users/report 1 2026-03-01T12:00:05Z 2026-03-01T12:00:06Z batch"
	if !strings.Contains(got, want) || !strings.Contains(got, ", a breaker is open: Users calls") {
		t.Errorf("status lacks %q:\n%s", want, statusText(s))
	}
}

// Where gateways tell each other of their calls, status shows those of the others at each endpoint, and how old the word of each gateway is.
func TestStatusOfOthersCalls(t *testing.T) {
	s := &status.Snapshot{
		Clusters: []status.Cluster{
			{Name: "users", Viewed: true, Endpoints: []status.Endpoint{{Name: "users-1", State: "up", Slots: 4, InFlight: 1, Others: 3}}},
			{Name: "mail", Endpoints: []status.Endpoint{{Name: "mail-1", State: "up", Slots: 4, InFlight: 1}}},
		},
		Gateways: &status.Gateways{Name: "a", Arbiter: "a", Members: []status.Member{
			{Name: "a", State: "self"}, {Name: "b", Address: "10.0.0.2:7000", State: "alive", Word: &status.Word{AgeSeconds: 0.0312, Calls: 3, Taken: 40}},
		}},
	}
	got := strings.Join(strings.Fields(statusText(s)), " ")
	for _, want := range []string{"users users-1 up 1 (others 3) 4 0", "mail mail-1 up 1 4 0", "b 10.0.0.2:7000 alive no 3 30ms ago"} {
		if !strings.Contains(got, want) {
			t.Errorf("status lacks %q:\n%s", want, statusText(s))
		}
	}
}

// Status shows where endpoints are looked up, and what is wrong with that.
func TestStatusOfSources(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)
	s := &status.Snapshot{Clusters: []status.Cluster{
		{Name: "named"},
		{Name: "Users", Source: &status.Source{Name: "dns users.internal:6000", State: "stale", Since: since, Endpoints: 3, Problem: "no answer in time"}},
		{Name: "Orders", Source: &status.Source{Name: "file /e.yaml", State: "good", Since: since, Endpoints: 1}},
	}}
	got := strings.Join(strings.Fields(statusText(s)), " ")
	want := "SOURCE UPSTREAM STATE SINCE ENDPOINTS PROBLEM dns users.internal:6000 Users stale 2026-03-01T12:00:05Z 3 no answer in time" +
		" file /e.yaml Orders good 2026-03-01T12:00:05Z 1 -"
	if !strings.Contains(got, want) {
		t.Errorf("status lacks %q:\n%s", want, statusText(s))
	}
}

// Status says which upstreams are overloaded, and whose calls were refused.
func TestStatusOfOverload(t *testing.T) {
	s := &status.Snapshot{Clusters: []status.Cluster{
		{Name: "shop", QueueCalls: 40, QueueMax: 1024, Overloaded: true, Shed: []status.Shed{{Priority: "critical"}, {Priority: "normal", Crowd: 3, Late: 1}, {Priority: "batch", Waited: 90}}},
		{Name: "idle", QueueMax: 1024, Shed: []status.Shed{{Priority: "critical"}}},
	}}
	got := strings.Join(strings.Fields(statusText(s)), " ")
	for _, want := range []string{", overloaded: shop ", "shop 40 of 1024 yes normal 4, batch 90"} {
		if !strings.Contains(got, want) {
			t.Errorf("status lacks %q:\n%s", want, statusText(s))
		}
	}
	if strings.Contains(got, "idle") {
		t.Errorf("status tells of a queue in which nothing happened:\n%s", statusText(s))
	}
}

// Status says which slots were learned.
func TestStatusOfLearnedSlots(t *testing.T) {
	s := &status.Snapshot{Clusters: []status.Cluster{{Name: "users", Endpoints: []status.Endpoint{{Name: "users-1", State: "up", Slots: 7, SlotsLearned: true, LeasedSlots: 7}}}}}
	if got := strings.Join(strings.Fields(statusText(s)), " "); !strings.Contains(got, "users users-1 up 0 7 (auto)") {
		t.Errorf("status lacks the learned slots:\n%s", statusText(s))
	}
}
