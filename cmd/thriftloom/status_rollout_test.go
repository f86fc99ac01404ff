package main

import (
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// Status shows what mirrors have found, where calls of a canary went, and that calls fail on purpose; methods without any of it are left out.
func TestStatusOfRollouts(t *testing.T) {
	s := &status.Snapshot{Services: []status.Service{{Name: "Users", Methods: []status.Method{
		{Name: "getUser", Mirror: &status.Mirror{To: "next", Percent: 10, Same: 90, Differ: 3, Answered: 4, MirrorFailed: 1, MainFailed: 2, Dropped: 5,
			Paths: []status.MirrorPath{{Path: "success.home.city", Calls: 3}}, MorePaths: 1}},
		{Name: "find", Canary: &status.Canary{To: "next", Percent: 1, Calls: 7, MainCalls: 693}},
		{Name: "put", Canary: &status.Canary{To: "next", Ended: true}},
		{Name: "ping", Faults: &status.Faults{Delayed: 11, Aborted: 12, Excepted: 13}},
		{Name: "quiet", Mirror: &status.Mirror{To: "next"}, Canary: &status.Canary{To: "next"}, Faults: &status.Faults{}},
	}}}}
	got := strings.Join(strings.Fields(statusText(s)), " ")
	for _, want := range []string{
		"Users/getUser next 10 90 3 4 1 2 5", "Users/getUser success.home.city 3", "Users/getUser elsewhere besides 1", "Users/find next 1 7 693 on",
		"Users/put next 0 0 0 ended: it failed", "Users/ping 11 12 13", ", faults are on: Users",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("status lacks %q:\n%s", want, statusText(s))
		}
	}
	if strings.Contains(got, "quiet") {
		t.Errorf("status shows a method without calls:\n%s", statusText(s))
	}
}
