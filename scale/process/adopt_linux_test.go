package process

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// adoptableCommand returns the run block of replicas that can be adopted.
func adoptableCommand(replicas int) Config {
	cfg := command(replicas, "serve", "{socket}")
	cfg.Adopt = true
	return cfg
}

// pids returns the process behind each endpoint.
func (f *fleet) pids(list []rpc.Endpoint) (pids []string) {
	for _, e := range list {
		_, pid := f.connect(e.Address)
		pids = append(pids, pid)
	}
	return pids
}

// next starts the fleet of the next gateway over the same folder, with what f offers.
func (f *fleet) next(cfg Config) *fleet {
	f.t.Helper()
	return launch(f.t, cfg, func(o *Options) { o.State, o.Adopt = f.state, f.set.Offer() })
}

func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Replicas that are handed over live on as they are, are endpoints of the next set at once, and then its own: what they write comes to it,
// it starts anew the one that dies, and ends them with itself.
func TestReplicasAreAdopted(t *testing.T) {
	first := launch(t, adoptableCommand(2), nil)
	pids := first.pids(first.until("users-1", "users-2"))
	second := first.next(adoptableCommand(2))
	if got := second.pids(second.until("users-1", "users-2")); !equal(got, pids) {
		t.Fatalf("processes %v, want %v", got, pids)
	}
	adopted := second.set.Adopted()
	if len(adopted) != 2 {
		t.Errorf("adopted: %v", adopted)
	}
	first.set.Give(adopted)
	second.set.Own()
	first.stop()
	list := second.set.endpoints()
	if got := second.pids(list); !equal(got, pids) {
		t.Fatalf("after the first set's end: processes %v, want %v", got, pids)
	}
	if n := len(second.set.Snapshot().Replicas); n != 2 {
		t.Errorf("%d replicas", n)
	}
	kill(t, pids[0])
	second.until("users-2")
	again := second.pids(second.until("users-1", "users-2"))
	if again[0] == pids[0] || again[1] != pids[1] {
		t.Errorf("processes %v after %s was killed, which were %v", again, pids[0], pids)
	}
	r := second.set.Snapshot().Replicas[0]
	if r.Restarts != 1 || !strings.Contains(r.LastExit, "another process had started it") {
		t.Errorf("what is seen of the one that was killed: %+v", r)
	}
	end, _ := second.connect(second.set.endpoints()[1].Address)
	second.stop()
	ended(t, end)
}

func equal(a, b []string) bool { return strings.Join(a, " ") == strings.Join(b, " ") }

// What a replica writes goes to the first set until it is given away, and to the next one from then on; nothing is lost between.
func TestOutputGoesAlong(t *testing.T) {
	cfg := adoptableCommand(1)
	cfg.Command = []string{"/bin/sh", "-c", `i=0; while :; do i=$((i+1)); echo "line $i."; sleep 0.01; done & exec "$0" "$1"`, os.Args[0], "{socket}"}
	first := launch(t, cfg, nil)
	first.until("users-1")
	second := first.next(cfg)
	second.until("users-1")
	if s := second.output.String(); s != "" {
		t.Errorf("the second set has read %q before the replica is its own", s)
	}
	first.set.Give(second.set.Adopted())
	last := strings.Count(first.output.String(), ".")
	second.set.Own()
	eventually(t, "lines come to the second set", func() bool { return strings.Count(second.output.String(), ".") > 20 })
	if n := strings.Count(first.output.String(), "."); n > last+1 { // the line that had begun
		t.Errorf("the first set has read %d lines after it gave the replica away", n-last)
	}
	first.stop()
	second.stop()
	all := first.output.String() + second.output.String()
	n := 0
	for _, line := range strings.Split(all, "\n") {
		if _, text, ok := strings.Cut(line, "users-1 | line "); ok {
			n++
			if got := strings.TrimSuffix(text, "."); got != strconv.Itoa(n) {
				t.Fatalf("line %s came where line %d was to come", got, n)
			}
		}
	}
}

// A set that ends before the replicas are its own leaves them to the first one, which supervises them as before.
func TestAdoptionThatFails(t *testing.T) {
	first := launch(t, adoptableCommand(1), nil)
	pids := first.pids(first.until("users-1"))
	second := first.next(adoptableCommand(2)) // and one of its own
	second.until("users-1", "users-2")
	end, _ := second.connect(second.set.endpoints()[1].Address)
	second.stop()
	ended(t, end)
	if got := first.pids(first.set.endpoints()); !equal(got, pids) {
		t.Fatalf("processes %v, want %v", got, pids)
	}
	kill(t, pids[0])
	first.until()
	if got := first.pids(first.until("users-1")); got[0] == pids[0] {
		t.Error("not started anew")
	}
}

// Replicas that were given away and come back are supervised as before.
func TestGivenReplicasComeBack(t *testing.T) {
	first := launch(t, adoptableCommand(2), nil)
	pids := first.pids(first.until("users-1", "users-2"))
	second := first.next(adoptableCommand(2))
	second.until("users-1", "users-2")
	first.set.Give(second.set.Adopted())
	second.stop()
	kill(t, pids[0])
	first.until("users-2") // and stays so: the other gateway would start the next one
	first.set.Own()
	first.until("users-1", "users-2")
	kill(t, pids[1])
	first.until("users-1")
	first.until("users-1", "users-2")
}

// Not taken over: a process that is another one by now, one that the set does not want, and anything where replicas are not to be adopted.
func TestWhatIsNotAdopted(t *testing.T) {
	first := launch(t, adoptableCommand(2), nil)
	first.until("users-1", "users-2")
	fresh := adoptableCommand(1)
	stale := first.set.Offer()
	for i := range stale {
		stale[i].Started++
	}
	if second := launch(t, fresh, func(o *Options) { o.Adopt = stale }); len(second.set.Adopted()) != 0 {
		t.Error("a process with another start was adopted")
	}
	if second := launch(t, fresh, func(o *Options) { o.Adopt = first.set.Offer() }); len(second.set.Adopted()) != 1 {
		t.Error("one replica is wanted")
	}
	fresh.Adopt = false
	if second := launch(t, fresh, func(o *Options) { o.Adopt = first.set.Offer() }); len(second.set.Adopted()) != 0 {
		t.Error("adopted without being told to")
	}
	plain := launch(t, fresh, nil)
	plain.until("users-1")
	if n := len(plain.set.Offer()); n != 0 {
		t.Errorf("%d replicas are offered that end with their gateway", n)
	}
}

// A fingerprint tells what a replica was started with, and nothing that can be changed while it runs.
func TestFingerprint(t *testing.T) {
	base := adoptableCommand(1)
	same, other := base, base
	same.Replicas, same.StopTimeout, same.StartTimeout = 5, time.Second, time.Second
	other.Env = map[string]string{"MOOD": "other"}
	if base.Fingerprint() != same.Fingerprint() || base.Fingerprint() == other.Fingerprint() {
		t.Error(base.Fingerprint(), same.Fingerprint(), other.Fingerprint())
	}
}
