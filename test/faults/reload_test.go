//go:build linux

package faults

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// What a reload changes and what it leaves alone, with the real program over real ThriftPy servers that have no free slot.
func TestReload(t *testing.T) {
	t.Run("policy under load", reloadPolicy)
	t.Run("number of replicas", reloadCount)
	t.Run("learned state", reloadLearned)
	t.Run("IDL method added", reloadMethodAdded)
	t.Run("IDL field added", reloadFieldAdded)
	t.Run("IDL method removed", reloadMethodRemoved)
	t.Run("IDL broken", reloadBrokenIDL)
	t.Run("section broken", reloadBrokenSection)
	t.Run("included file broken", reloadBrokenFile)
	t.Run("listener added and removed", reloadListeners)
	t.Run("watch symlink swap", watchSwap)
	t.Run("watch editor rename", watchRename)
}

const growingIDL = `struct User { 1: i32 id, 2: string name }
service Growing { void ping(), i32 pid(), i32 sleep(1: i32 millis), User get(1: i32 id) }
`

// grownIDL has a method, an argument and a field more.
const grownIDL = `struct User { 1: i32 id, 2: string name, 3: optional string mark }
service Growing { void ping(), i32 pid(), i32 sleep(1: i32 millis), User get(1: i32 id, 2: string mark), string more() }
`

// reloading is the program over two servers of Growing, whose files a test changes.
type reloading struct {
	*testing.T
	*peertest.Process
	dir, front, admin, journal string
	count                      int // of replicas, in the config
	library                    peertest.Library
	answered                   atomic.Int64
	fault                      atomic.Pointer[string] // the first answer of the load that was no reply
	stop                       chan struct{}
	callers                    sync.WaitGroup
}

// prepare returns it with its IDL in its folder, before it runs.
func prepareReloading(t *testing.T) *reloading {
	t.Helper()
	peertest.Require(t)
	r := &reloading{T: t, dir: shortDir(t), count: 2, library: peertest.ThriftPy2, front: peertest.FreePort(t), admin: peertest.FreePort(t), stop: make(chan struct{})}
	r.journal = filepath.Join(r.dir, "journal")
	r.write("growing.thrift", growingIDL)
	r.write("whole.thrift", growingIDL) // of the other service
	return r
}

// up runs the program.
func (r *reloading) up(config string, flags ...string) {
	r.Helper()
	r.write("thriftloom.yaml", config)
	r.run(filepath.Join(r.dir, "thriftloom.yaml"), flags...)
}

func (r *reloading) run(path string, flags ...string) {
	r.Helper()
	r.Process = peertest.Start(r.T, program(r.T), append([]string{"up", "-c", path}, flags...)...)
	r.Cleanup(r.rest)
	peertest.Eventually(r.T, "two replicas are ready", func() bool {
		return len(r.replicas()) == 2 && !slices.ContainsFunc(r.snapshot().Replicas, func(x status.Replica) bool { return x.State != "ready" })
	})
}

func (r *reloading) write(name, text string) {
	r.Helper()
	write(r.T, filepath.Join(r.dir, name), text)
}

// config is the file: more of the top level, of the block run, and of the section.
func (r *reloading) config(top, run, section string) string {
	return fmt.Sprintf("admin: %q\n%s\nservices:\n", r.admin, top) + r.section(run, section)
}

// section is that of Growing.
func (r *reloading) section(run, more string) string {
	l, at := r.library, "{socket}"
	if l == peertest.ThriftPy { // it sets SO_REUSEPORT on unix sockets, which Linux 6 refuses
		at = "{port}"
	}
	return fmt.Sprintf("  Growing:\n    idl: %q\n    listen: %q\n    timeout: 20s\n    queue: {max_wait: 20s}\n", filepath.Join(r.dir, "growing.thrift"), r.front) +
		fmt.Sprintf("    upstream: {server: threaded, run: {replicas: %d, %scommand: [%q, %q, --library, %s, --idl, %q, --journal, %q, --client-timeout, \"60000\", %q]}}\n",
			r.count, run, l.Python, peertest.File("growing_server.py"), l.Name, filepath.Join(r.dir, "growing.thrift"), r.journal, at) + more
}

func (r *reloading) snapshot() status.Snapshot { return peertest.Snapshot(r.admin) }

// metric reports whether /metrics has a line that begins so.
func (r *reloading) metric(line string) bool {
	r.Helper()
	answer, err := peertest.HTTP.Get("http://" + r.admin + "/metrics")
	if err != nil {
		r.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return err == nil && strings.Contains(string(text), "\n"+line)
}

// replicas returns the processes of the replicas, by their names.
func (r *reloading) replicas() map[string]int {
	pids := map[string]int{}
	for _, x := range r.snapshot().Replicas {
		pids[x.Name] = x.PID
	}
	return pids
}

// load has 12 callers call over and over, each on its one connection, and returns when the eight slots are taken all the time: every
// connection to a server that there will be is open.
func (r *reloading) load() {
	r.Helper()
	for range 12 {
		c := connect(r.T, r.front)
		r.callers.Go(func() {
			for {
				select {
				case <-r.stop:
					return
				default:
				}
				if got := c.call("sleep", number(2)); got != "OK" {
					r.fault.CompareAndSwap(nil, &got)
					return
				}
				r.answered.Add(1)
			}
		})
	}
	peertest.Eventually(r.T, "all slots are taken", func() bool { return r.open() == 8 })
	r.more()
}

// more returns when the load has been answered 200 times more.
func (r *reloading) more() {
	r.Helper()
	before := r.answered.Load()
	peertest.Eventually(r.T, "200 calls more", func() bool { return r.fault.Load() != nil || r.answered.Load() > before+200 })
	if f := r.fault.Load(); f != nil {
		r.Fatalf("a call of the load, after %d: %s", r.answered.Load(), *f)
	}
}

// rest ends the load.
func (r *reloading) rest() {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	r.callers.Wait()
}

// connections returns how many connections the servers have been made, and how many of these have ended.
func (r *reloading) connections() (opened, closed int) {
	text, err := os.ReadFile(r.journal)
	if err != nil {
		return 0, 0
	}
	return strings.Count(string(text), " open "), strings.Count(string(text), " close ")
}

func (r *reloading) open() int { opened, closed := r.connections(); return opened - closed }

// reload runs `thriftloom reload` and returns its exit code and what it printed.
func (r *reloading) reload(flags ...string) (int, string) {
	r.Helper()
	cmd := exec.Command(program(r.T), append([]string{"reload", "--admin", r.admin}, flags...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		r.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// change writes the config and takes it over, whole.
func (r *reloading) change(config string) {
	r.Helper()
	r.write("thriftloom.yaml", config)
	if code, out := r.reload(); code != 0 || !strings.HasPrefix(out, "reloaded: ") {
		r.Fatalf("reload: exit %d, %s", code, out)
	}
}

// timeout is that of a method, in seconds.
func (r *reloading) timeout(method string) float64 { return r.method(method).TimeoutSeconds }

func (r *reloading) method(name string) (found status.Method) {
	for _, s := range r.snapshot().Services {
		for _, m := range s.Methods {
			if s.Name == "Growing" && m.Name == name {
				found = m
			}
		}
	}
	return found
}

// life is what a reload is to leave alone: the processes of the replicas, and how many connections their servers have been made.
func (r *reloading) life() (pids map[string]int, opened int) {
	opened, _ = r.connections()
	return r.replicas(), opened
}

// same checks that nothing was restarted, and no connection closed or opened, since these were taken.
func (r *reloading) same(pids map[string]int, opened int) {
	r.Helper()
	if now := r.replicas(); fmt.Sprint(now) != fmt.Sprint(pids) {
		r.Errorf("replicas %v, were %v", now, pids)
	}
	if now, closed := r.connections(); now != opened || now-closed != 8 {
		r.Errorf("the servers were made %d connections, of which %d have ended; before it were %d", now, closed, opened)
	}
}

// end drains the program: nothing is left and nothing was lost.
func (r *reloading) end() {
	r.Helper()
	r.rest()
	if f := r.fault.Load(); f != nil {
		r.Errorf("a call of the load: %s", *f)
	}
	r.Signal(r.T, syscall.SIGTERM)
	if code := r.Wait(r.T, time.Minute); code != 0 {
		r.Errorf("exit code %d", code)
	}
}

// A change of policy holds for the next call. It restarts no replica, closes no connection of a caller or to a server, loses no call and
// forgets no count.
func reloadPolicy(t *testing.T) {
	for _, l := range []peertest.Library{peertest.ThriftPy, peertest.ThriftPy2} {
		t.Run(l.Name, func(t *testing.T) { reloadPolicyOver(t, l) })
	}
}

func reloadPolicyOver(t *testing.T, l peertest.Library) {
	r := prepareReloading(t)
	r.library = l
	r.up(r.config("", "", ""))
	r.load()
	pids, opened := r.life()
	for round := range 5 {
		calls := r.method("sleep").Calls
		r.change(r.config(fmt.Sprintf("drain: {timeout: %ds}", 30+round), fmt.Sprintf("stop_timeout: %ds, start_timeout: %ds, ", 20+round, 30+round), fmt.Sprintf(
			"    retry: {attempts: %d}\n    on_crash: close\n    unknown_methods: refuse\n    methods: {get: {timeout: %dms, idempotent: true}, ping: {timeout: 7s}}\n", 1+round, 100+round)))
		if got := r.timeout("get"); got != (time.Duration(100+round) * time.Millisecond).Seconds() {
			t.Errorf("round %d: timeout of get %v", round, got)
		}
		if now := r.method("sleep").Calls; now < calls {
			t.Errorf("round %d: %d calls are counted, and %d were before", round, now, calls)
		}
		r.more()
	}
	r.same(pids, opened)
	r.change(r.config("", "", "    methods: {sleep: {timeout: 300ms}}\n"))
	if got := connect(t, r.front).call("sleep", number(5000)); got != "DEADLINE_EXCEEDED" {
		t.Errorf("a call of 5 s with a timeout of 300 ms: %s", got)
	}
	r.rest()
	if calls, want := r.method("sleep").Calls, r.answered.Load()+1; calls != want {
		t.Errorf("%d calls are counted, %d were made", calls, want)
	}
	r.end()
	t.Logf("%d calls over 6 reloads, %d connections to servers", r.answered.Load(), opened)
}

// More replicas are started beside those that run, and fewer are ended once they have answered: the others stay as they are, and no call is
// lost.
func reloadCount(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", ""))
	r.load()
	before := r.replicas()
	for _, n := range []int{3, 1, 2} {
		r.count = n
		r.change(r.config("", "", ""))
		peertest.Eventually(t, fmt.Sprintf("%d replicas", n), func() bool {
			ready := 0
			for _, x := range r.snapshot().Replicas {
				if x.State == "ready" {
					ready++
				}
			}
			return ready == n && len(r.replicas()) == n
		})
		if now := r.replicas(); now["Growing-1"] != before["Growing-1"] || n == 3 && now["Growing-2"] != before["Growing-2"] {
			t.Errorf("replicas %v, were %v", now, before)
		}
		r.more()
	}
	r.end()
}

// What was learned of endpoints stays: which are dead, for how long a server keeps connections, how long calls take; and counts go on.
func reloadLearned(t *testing.T) {
	r := prepareReloading(t)
	live, dead := peertest.FreePort(t), peertest.FreePort(t)
	l := peertest.ThriftPy2
	peertest.Start(t, l.Python, peertest.File("growing_server.py"), "--library", l.Name, "--idl", filepath.Join(r.dir, "growing.thrift"), "--client-timeout", "700", live)
	config := func(timeout int) string {
		return fmt.Sprintf("admin: %q\nservices:\n  Growing: {idl: growing.thrift, listen: %q, timeout: %ds, upstream: {endpoints: [%q, %q], server: threaded}}\n",
			r.admin, r.front, timeout, live, dead)
	}
	r.write("thriftloom.yaml", config(20))
	r.Process = peertest.Start(t, program(t), "up", "-c", filepath.Join(r.dir, "thriftloom.yaml"))
	endpoint := func(address string) (found status.Endpoint) {
		for _, c := range r.snapshot().Clusters {
			for _, e := range c.Endpoints {
				if e.Address == address {
					found = e
				}
			}
		}
		return found
	}
	var all sync.WaitGroup
	peertest.Eventually(t, "the dead endpoint is known", func() bool {
		if endpoint(live).Slots == 0 {
			return false
		}
		for range 8 { // more than one has slots for
			all.Go(func() { connect(t, r.front).call("sleep", number(20)) })
		}
		all.Wait()
		return endpoint(dead).State == "down" && endpoint(live).Calls > 8
	})
	peertest.Eventually(t, "it is known for how long the living one keeps connections", func() bool {
		if e := endpoint(live); e.Connections == 0 { // the server has closed them
			connect(t, r.front).call("ping", []byte{0})
		}
		return endpoint(live).LearnedIdleSeconds > 0
	})
	for round := range 3 {
		before, alive := endpoint(dead), endpoint(live)
		r.change(config(5 + round))
		if got := r.timeout("get"); got != float64(5+round) {
			t.Errorf("timeout of get %v", got)
		}
		if now := endpoint(dead); now.State != "down" || now.Failures < before.Failures || now.LastErrorCode == "" {
			t.Errorf("the dead endpoint is %+v, and was %+v", now, before)
		}
		if now := endpoint(live); now.State != "up" || now.Calls < alive.Calls || now.P50Seconds == 0 || now.LearnedIdleSeconds != alive.LearnedIdleSeconds {
			t.Errorf("the living endpoint is %+v, and was %+v", now, alive)
		}
	}
	r.end()
}

// grow takes over the grown IDL, with servers that have it: the environment changes, so that replicas are replaced.
func (r *reloading) grow() {
	r.Helper()
	before := r.replicas()
	r.write("growing.thrift", grownIDL)
	r.change(r.config("", "env: {GENERATION: '2'}, ", ""))
	peertest.Eventually(r.T, "the replicas are replaced", func() bool {
		now := r.replicas()
		ready := 0
		for _, x := range r.snapshot().Replicas {
			if x.State == "ready" && x.PID != before[x.Name] {
				ready++
			}
		}
		return len(now) == 2 && ready == 2
	})
}

// A method that the IDL gains is served once servers that have it are there; callers notice nothing else.
func reloadMethodAdded(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", ""))
	r.load()
	c := connect(t, r.front)
	if got := c.call("more", []byte{0}); got != "" { // the server's own answer to an unknown method has no text
		t.Errorf("more, before: %q", got)
	}
	r.grow()
	if m, err := c.exchange("more", []byte{0}); err != nil || m.Head.Type != wire.Reply || !strings.Contains(string(m.Body), "more") {
		t.Errorf("more: %+v, %v", m.Head, err)
	}
	if got := c.call("get", number(7)); got != "OK" {
		t.Errorf("get: %s", got)
	}
	if m := r.method("more"); m.Calls != 1 || m.TimeoutSeconds != 20 {
		t.Errorf("more in the snapshot: %+v", m)
	}
	r.more()
	r.end()
}

// A field that a struct gains, and an argument that a method gains, come through in both directions; callers that know neither are served
// as before.
func reloadFieldAdded(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", ""))
	r.load()
	knowing := binary.AppendString(binary.AppendField(number(7)[:7], wire.String, 2), "blue") // field:3 i32:4, then one more
	knowing = binary.AppendStop(knowing)
	get := func(body []byte) string {
		t.Helper()
		m, err := connect(t, r.front).exchange("get", body)
		if err != nil || m.Head.Type != wire.Reply {
			t.Errorf("get: %+v, %v", m.Head, err)
		}
		return string(m.Body)
	}
	if got := get(knowing); !strings.Contains(got, "Ada") || strings.Contains(got, "blue") {
		t.Errorf("servers that do not know the field answer %q", got)
	}
	r.grow()
	if got := get(knowing); !strings.Contains(got, "Ada") || !strings.Contains(got, "blue") {
		t.Errorf("servers that know the field answer %q", got)
	}
	if got := get(number(7)); !strings.Contains(got, "Ada") || !strings.Contains(got, "none") {
		t.Errorf("a caller that does not know the field gets %q", got)
	}
	r.more()
	r.end()
}

// An IDL that has lost a method is taken over by force alone; until then the service stays as it was, with everything else.
func reloadMethodRemoved(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", ""))
	r.load()
	pids, opened := r.life()
	r.write("growing.thrift", strings.Replace(growingIDL, ", User get(1: i32 id)", "", 1))
	r.write("thriftloom.yaml", r.config("", "", "    unknown_methods: refuse\n"))
	code, out := r.reload()
	if want := filepath.Join(r.dir, "growing.thrift") + ":2:9: services.Growing.idl: Growing would lose get: reload --force takes that over\n"; code != 1 || !strings.Contains(out, want) {
		t.Errorf("reload: exit %d, %s; want %s", code, out, want)
	}
	c := connect(t, r.front)
	if got := c.call("get", number(7)); got != "OK" {
		t.Errorf("get: %s", got)
	}
	if code, out := r.reload("--force"); code != 0 {
		t.Errorf("reload --force: exit %d, %s", code, out)
	}
	if got := c.call("get", number(7)); got != "UNKNOWN_METHOD" {
		t.Errorf("get after the forced reload: %s", got)
	}
	r.more()
	r.same(pids, opened)
	r.end()
}

// stale reloads what has a mistake: the service keeps its last good version and all that lives in it, the mistake is told with its place,
// and what is whole is taken over; when it is repaired nothing is stale.
func (r *reloading) stale(place string, broken func(), repaired func()) {
	r.Helper()
	r.load()
	pids, opened := r.life()
	broken()
	if code, out := r.reload(); code != 1 || !strings.Contains(out, place) || !strings.Contains(out, "Growing: still as before") {
		r.Errorf("reload: exit %d, %s; want %s", code, out, place)
	}
	s := r.snapshot()
	if !slices.Equal(s.Config.Stale, []string{"Growing"}) || r.timeout("sleep") != 20 {
		r.Errorf("stale: %v, timeout %v", s.Config.Stale, r.timeout("sleep"))
	}
	if !r.metric(`thriftloom_config_stale{service="Growing"} 1`) {
		r.Error("the metric does not say that it is stale")
	}
	if other := s.Services[slices.IndexFunc(s.Services, func(x status.Service) bool { return x.Name == "Other" })]; other.Methods[0].TimeoutSeconds != 9 {
		r.Errorf("the other service has a timeout of %v", other.Methods[0].TimeoutSeconds)
	}
	r.more()
	repaired()
	if code, out := r.reload(); code != 0 {
		r.Errorf("reload of what is repaired: exit %d, %s", code, out)
	}
	if s := r.snapshot(); len(s.Config.Stale) != 0 || r.metric("thriftloom_config_stale{") || r.timeout("sleep") != 8 {
		r.Errorf("after the repair: stale %v, timeout %v", s.Config.Stale, r.timeout("sleep"))
	}
	r.more()
	r.same(pids, opened)
	r.end()
}

// other is the section of a service that is whole all the time.
func (r *reloading) other(timeout int) string {
	return fmt.Sprintf("  Other: {idl: %q, service: Growing, listen: 127.0.0.1:0, timeout: %ds, upstream: {endpoints: [\"127.0.0.1:1\"]}}\n", filepath.Join(r.dir, "whole.thrift"), timeout)
}

const repairedTimeout = "    methods: {sleep: {timeout: 8s}}\n"

func reloadBrokenIDL(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", r.other(5)))
	r.stale(filepath.Join(r.dir, "growing.thrift")+":1:12: services.Growing.idl: ", func() {
		r.write("growing.thrift", "struct Usr i32 id }\n"+growingIDL)
		r.write("thriftloom.yaml", r.config("", "", repairedTimeout+r.other(9)))
	}, func() { r.write("growing.thrift", growingIDL) })
}

func reloadBrokenSection(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", r.other(5)))
	r.stale("services.Growing.tmieout: unknown key", func() {
		r.write("thriftloom.yaml", r.config("", "", repairedTimeout+"    tmieout: 3s\n"+r.other(9)))
	}, func() { r.write("thriftloom.yaml", r.config("", "", repairedTimeout+r.other(9))) })
}

func reloadBrokenFile(t *testing.T) {
	r := prepareReloading(t)
	main := func(timeout int) string {
		return fmt.Sprintf("admin: %q\ninclude: [growing.yaml]\nservices:\n", r.admin) +
			r.other(timeout)
	}
	r.write("growing.yaml", "services:\n"+r.section("", ""))
	r.up(main(5))
	r.stale(filepath.Join(r.dir, "growing.yaml")+":2:12: yaml: ", func() {
		r.write("growing.yaml", "services:\n  Growing: {\n")
		r.write("thriftloom.yaml", main(9))
	}, func() { r.write("growing.yaml", "services:\n"+r.section("", repairedTimeout)) })
}

// A listener comes and goes by a reload: it serves at once; when it goes, a call that it has taken is answered before its connection is
// closed, and the callers of others notice nothing.
func reloadListeners(t *testing.T) {
	r := prepareReloading(t)
	r.up(r.config("", "", ""))
	r.load()
	pids, opened := r.life()
	more := peertest.FreePort(t)
	for range 3 {
		r.change(r.config(fmt.Sprintf("listen: %q", more), "", ""))
		c := connect(t, more)
		if got := c.call("get", number(7)); got != "OK" {
			t.Errorf("a call to the new listener: %s", got)
		}
		slow := make(chan string, 1)
		go func() { slow <- c.call("sleep", number(700)) }()
		peertest.Eventually(t, "the call is taken", func() bool { return r.method("sleep").InFlight > 0 })
		r.change(r.config("", "", ""))
		if got := <-slow; got != "OK" {
			t.Errorf("a call that the listener had taken before it went: %s", got)
		}
		if got := c.call("ping", []byte{0}); got == "OK" {
			t.Error("the listener that has gone answers")
		}
		r.more()
	}
	r.same(pids, opened)
	r.end()
}

// watched runs the program with --watch over a file that change replaces with another config, three times, and sees each taken over.
func (r *reloading) watched(path string, change func(round int, config string)) {
	r.Helper()
	r.run(path, "--watch")
	r.load()
	pids, opened := r.life()
	for round := 1; round <= 3; round++ {
		change(round, r.config("", "", fmt.Sprintf("    methods: {get: {timeout: %ds}}\n", round)))
		peertest.Eventually(r.T, "the change is taken over", func() bool { return r.timeout("get") == float64(round) })
		r.more()
	}
	r.same(pids, opened)
	r.end()
}

// A ConfigMap: the file is a link into ..data, which is a link to a folder, and is swapped.
func watchSwap(t *testing.T) {
	r := prepareReloading(t)
	swap := func(round int, config string) {
		name := fmt.Sprintf("..2026_%d", round)
		if err := os.Mkdir(filepath.Join(r.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		r.write(filepath.Join(name, "thriftloom.yaml"), config)
		link(t, name, filepath.Join(r.dir, "..data"))
		_ = os.RemoveAll(filepath.Join(r.dir, fmt.Sprintf("..2026_%d", round-1)))
	}
	swap(0, r.config("", "", ""))
	path := filepath.Join(r.dir, "thriftloom.yaml")
	link(t, "..data/thriftloom.yaml", path)
	r.watched(path, swap)
}

// link makes a link, or turns one over in one step.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Editors: vim puts the file aside and writes a new one, others write beside it and rename.
func watchRename(t *testing.T) {
	r := prepareReloading(t)
	path := filepath.Join(r.dir, "thriftloom.yaml")
	write(t, path, r.config("", "", ""))
	r.watched(path, func(round int, config string) {
		from, to := path, path+"~"
		if round%2 == 0 {
			write(t, path+".tmp", config)
			from, to = path+".tmp", path
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			write(t, path, config)
		}
	})
}
