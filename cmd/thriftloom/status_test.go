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
		"users users-1 up 0 1 of 4", "a - self yes", "- 10.0.0.2:7000 cut off", "server.pem users.acme 2027-01-02T03:04:05Z expired",
		"a gateway is cut off",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("status lacks %q:\n%s", want, statusText(s))
		}
	}
}
