package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/netio"
)

const (
	oneWorker = "ThriftPy2, one worker, an empty handler"
	nearHits  = "hits in the gateway's memory"
	nearDeep  = "hits in the gateway's memory, 16 calls written at once"
	redisHits = "hits in Redis"
	sockets   = "the same sockets, nothing read or looked up"
	redisGet  = "redis-benchmark GET of as many bytes"
)

var rows = []row{
	{oneWorker, func(ctx context.Context, b *bench) (sample, error) {
		s, _, err := asked{address: b.worker, callers: 16, depth: 1, request: emptyCall(), reply: emptyReply, time: b.time}.run(ctx)
		return s, err
	}},
	{nearHits, func(ctx context.Context, b *bench) (sample, error) { return b.gatewayHits(ctx, "near", 1) }},
	{nearDeep, func(ctx context.Context, b *bench) (sample, error) { return b.gatewayHits(ctx, "near", 16) }},
	{redisHits, func(ctx context.Context, b *bench) (sample, error) { return b.gatewayHits(ctx, "redis", 1) }},
	{sockets, bareSockets},
	{redisGet, redisBenchmark},
}

// gatewayHits makes calls whose replies are all kept.
func (b *bench) gatewayHits(ctx context.Context, service string, depth int) (sample, error) {
	before, err := b.counters(ctx)
	if err != nil {
		return sample{}, err
	}
	spent := cpu(b.pid)
	s, calls, err := asked{address: places[service], callers: connections, depth: depth, request: getCall(), reply: getReply, keys: keys, time: b.time}.run(ctx)
	if err != nil {
		return sample{}, err
	}
	spent = cpu(b.pid) - spent
	after, err := b.counters(ctx)
	if err != nil {
		return sample{}, err
	}
	if n := after[loads] - before[loads]; n > 0 {
		return sample{}, fmt.Errorf("%.0f calls of %d were no hits", n, calls)
	}
	s.cpu = float64(spent) / float64(time.Microsecond) / float64(calls)
	s.mallocs = (after[mallocs] - before[mallocs]) / float64(calls)
	return s, nil
}

const (
	loads   = "thriftloom_cache_loads_total"
	mallocs = "go_memstats_mallocs_total"
)

// counters are the sums of the gateway's counters of these names.
func (b *bench) counters(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		for _, name := range []string{loads, mallocs} {
			if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
				n, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
				if err != nil {
					return nil, err
				}
				out[name] += n
			}
		}
	}
	return out, nil
}

// bareSockets is what the gateway's engine costs alone: a process of this program that answers whatever comes with bytes that stand ready.
func bareSockets(ctx context.Context, b *bench) (sample, error) {
	own, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	address := child.FreeAddress()
	c, err := spawn(ctx, nil, []string{own, "-bare", address})
	if err != nil {
		return sample{}, err
	}
	defer c.Stop()
	if err := c.Answers(ctx, address); err != nil {
		return sample{}, err
	}
	spent := cpu(c.PID)
	s, calls, err := asked{address: address, callers: connections, depth: 1, request: getCall(), reply: getReply, keys: keys, time: b.time}.run(ctx)
	if err != nil {
		return sample{}, err
	}
	s.cpu = float64(cpu(c.PID)-spent) / float64(time.Microsecond) / float64(calls)
	return s, nil
}

// answerer is a connection of bareSockets.
type answerer struct{ conn netio.Conn }

var callBytes = len(getCall())

var readyReply = func() []byte {
	b := make([]byte, getReply)
	b[3] = 2
	return b
}()

// Receive implements netio.Receiver.
func (a *answerer) Receive(b []byte) (used, need int) {
	for size := callBytes; len(b)-used >= size; used += size {
		a.conn.Send(nil, readyReply)
	}
	return used, callBytes
}

// Ended implements netio.Receiver.
func (a *answerer) Ended() {}

// Closed implements netio.Receiver.
func (a *answerer) Closed(error) {}

// serveBare runs bareSockets' process.
func serveBare(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	engine, err := netio.NewEpoll(0)
	if err != nil {
		return err
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			engine.Start(nc, netio.Options{}, func(c netio.Conn) netio.Receiver { return &answerer{conn: c} })
		}
	}()
	return engine.Run(context.Background())
}

// redisBenchmark is what Redis's own client makes of GETs of as many bytes, with as many connections.
func redisBenchmark(ctx context.Context, b *bench) (sample, error) {
	_, port, _ := strings.Cut(b.redis, ":")
	n := int(b.time.Seconds() * 60_000)
	out, err := exec.CommandContext(ctx, filepath.Join(b.tools.redis, "redis-benchmark"), "-p", port, "-c", strconv.Itoa(connections), "-n", strconv.Itoa(n),
		"-d", "256", "-r", strconv.Itoa(keys), "-t", "set,get", "--csv").Output()
	if err != nil {
		return sample{}, err
	}
	for line := range bytes.Lines(out) {
		fields := strings.Split(strings.ReplaceAll(strings.TrimSpace(string(line)), `"`, ""), ",")
		if len(fields) >= 7 && fields[0] == "GET" {
			number := func(i int) float64 { f, _ := strconv.ParseFloat(fields[i], 64); return f }
			return sample{rate: number(1), p50: number(4) * 1000, p99: number(6) * 1000, cpu: math.NaN(), mallocs: math.NaN()}, nil
		}
	}
	return sample{}, fmt.Errorf("redis-benchmark said %q", out)
}

// cpu returns the time that a process has been on a processor.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / 100 // USER_HZ
}

// table is what the rows came to: medians, and what follows from them.
func table(wanted []row, samples map[string][]sample, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- %d rounds, %d callers with a connection each (16 of the worker's), %d keys, calls of %d bytes and replies of %d, unframed strict binary\n\n",
		rounds, connections, keys, len(getCall()), getReply)
	b.WriteString("| | calls/s | p50, µs | p99, µs | CPU a call, µs | allocations a call |\n|---|---|---|---|---|---|\n")
	show := func(f float64, digits int) string {
		if math.IsNaN(f) {
			return ""
		}
		return strconv.FormatFloat(f, 'f', digits, 64)
	}
	for _, r := range wanted {
		all := samples[r.name]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.name, show(middle(all, byRate), 0), show(middle(all, byP50), 0), show(middle(all, byP99), 0),
			show(middle(all, byCPU), 2), show(middle(all, byMallocs), 2))
	}
	b.WriteString("\nWithin each round, the median, the least and the most of all rounds:\n\n")
	for _, x := range []struct {
		what, of, to string
		f            func(sample) float64
		with         func(a, b float64) float64
	}{
		{"CA-7, hits in memory ÷ the worker's calls, a second (10 is wanted)", nearHits, oneWorker, byRate, func(a, b float64) float64 { return a / b }},
		{"… with 16 calls written at once on each connection", nearDeep, oneWorker, byRate, func(a, b float64) float64 { return a / b }},
		{"CA-7, CPU of a hit less that of the sockets, µs (5 is wanted)", nearHits, sockets, byCPU, func(a, b float64) float64 { return a - b }},
		{"hits in Redis ÷ redis-benchmark's GETs, a second", redisHits, redisGet, byRate, func(a, b float64) float64 { return a / b }},
	} {
		one, other := samples[x.of], samples[x.to]
		if len(one) == 0 || len(one) != len(other) {
			continue
		}
		var all []float64
		for i := range one {
			all = append(all, x.with(x.f(one[i]), x.f(other[i])))
		}
		slices.Sort(all)
		fmt.Fprintf(&b, "- %s: %.2f (%.2f-%.2f)\n", x.what, all[len(all)/2], all[0], all[len(all)-1])
	}
	return b.String()
}

func byRate(s sample) float64    { return s.rate }
func byP50(s sample) float64     { return s.p50 }
func byP99(s sample) float64     { return s.p99 }
func byCPU(s sample) float64     { return s.cpu }
func byMallocs(s sample) float64 { return s.mallocs }

func middle(all []sample, f func(sample) float64) float64 {
	var out []float64
	for _, s := range all {
		out = append(out, f(s))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return math.NaN()
	}
	return out[len(out)/2]
}
