package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/load"
)

// profiled measures one row of ours, writes the CPU profile of it to a file, and says what a call allocates.
func (b *bench) profiled(ctx context.Context, p proxy, r row, file string) error {
	admin := child.FreeAddress()
	config := p.config
	p.config = func(l link) string {
		return config(l) + fmt.Sprintf("\nadmin: {address: %q, profiles: true}\n", admin)
	}
	b.calls = func(calls func() (*load.Report, error)) (*load.Report, error) {
		before, err := mallocs(ctx, admin)
		if err != nil {
			return nil, err
		}
		wrote := make(chan error, 1)
		go func() {
			wrote <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, max(1, int(b.time/time.Second))), file)
		}()
		rep, err := calls()
		if err != nil {
			return nil, err
		}
		after, err := mallocs(ctx, admin)
		if err != nil {
			return nil, err
		}
		if err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/allocs", admin), file+".allocs"); err != nil {
			return nil, err
		}
		fmt.Printf("%s, %s: %.1f allocations a call\n", p.name, r, (after-before)/float64(rep.Calls))
		return rep, <-wrote
	}
	s, err := b.measure(ctx, &p, r, 0)
	if err != nil {
		return err
	}
	fmt.Printf("%.1f µs of CPU a call; go tool pprof -top %s %s\nand what was allocated, in %[3]s.allocs: -sample_index=alloc_objects\n", s.cpu, b.tools.thriftloom, file)
	return nil
}

// fetch writes what a URL answers to a file.
func fetch(ctx context.Context, url, file string) error {
	body, err := get(ctx, url)
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, resp.Status, body)
	}
	return body, err
}

// mallocs returns how many objects the process has allocated.
func mallocs(ctx context.Context, admin string) (float64, error) {
	body, err := get(ctx, "http://"+admin+"/metrics")
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "go_memstats_mallocs_total "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s/metrics does not tell go_memstats_mallocs_total", admin)
}
