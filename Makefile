# The jobs of this project. `make help` lists them.
SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/thriftloom
BIN := $(CACHE)/bin
LINT := $(BIN)/golangci-lint-2.15.0
FUZZTIME ?= 60s
SOAK ?= 30m
ROUNDS ?= 5
PROFILE ?= $(CURDIR)/bin/cpu.prof

.PHONY: help build test race fuzz bench bench-auto bench-balance bench-cache bench-pick sim profile steady microbench engines lint golden check cross peers demo faults interop soak upgrade

help: ## list the jobs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

build: ## build bin/thriftloom
	go build -trimpath -o bin/thriftloom ./cmd/thriftloom

peers: ## install the real peers that the tests need, where they are missing
	@test/peers/setup.sh

test: peers ## all tests with the race detector, real ThriftPy peers included
	cd bench && go vet ./... && go test ./...
	go test ./codec ./wire/... ./transport ./cluster/balance ./cluster/lease ./sim # without the race detector: what they may allocate, and every seed
	THRIFTLOOM_REQUIRE_PEERS=1 go test -race -timeout 20m ./...

faults: peers ## every named fault case, as a table; fails unless each has passed
	@THRIFTLOOM_REQUIRE_PEERS=1 go run ./test/faults/report

interop: peers ## every peer's client and server with ours, over each protocol and transport; prints docs/interop.md
	@THRIFTLOOM_REQUIRE_PEERS=1 go test ./test/interop -count=1 -run TestMatrix -update && cat docs/interop.md

engines: peers ## the tests against real peers on the portable engine; make test has them on the one that auto is
	THRIFTLOOM_ENGINE=net THRIFTLOOM_REQUIRE_PEERS=1 go test -race -count=1 -timeout 40m ./cmd/... ./gateway ./test/e2e ./test/faults ./test/hostile ./test/interop ./test/upgrade ./test/ha

soak: peers ## real servers and callers for SOAK, with a fault every 10 s; SEED=n plays the faults of a run again
	@THRIFTLOOM_REQUIRE_PEERS=1 go test ./test/soak -count=1 -timeout 0 -v -run Soak -soak $(SOAK) $(if $(SEED),-seed $(SEED))

upgrade: peers ## ten replacements of the gateway and twenty rolling restarts of its workers, under 500 calls/s of real clients
	@THRIFTLOOM_REQUIRE_PEERS=1 go test ./test/upgrade -count=1 -v -run TestReplacedUnderLoad -timeout 20m

race: ## all tests with the race detector, real peers where they are installed
	go test -race ./...

fuzz: ## run every fuzz target for FUZZTIME each
	@for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$p || exit 1; done; done

bench: build ## CPU, latency and memory beside HAProxy, nginx and Envoy, in Markdown; ROWS and WITH are regexps of rows and proxies
	@bench/setup.sh
	@echo "- commit $$(git describe --always --dirty)"
	@cd bench && go run . -only '$(ROWS)' -with '$(WITH)' -rounds $(ROUNDS)
	@bench/skip/run.sh

profile: build ## the CPU profile of one row (ROWS) of ours, and what a call allocates, in PROFILE
	@cd bench && go run . -only '$(ROWS)' -with 'ours, epoll$$' -time 8s -profile $(PROFILE)
	@go tool pprof -top $(PROFILE) 2>/dev/null | head -40

steady: build ## ten minutes of calls, kept connections and new ones: what the process holds each minute
	@cd bench && go run . -only '^1 KB, buffered, serial upstream, 64 callers$$' -with 'ours, epoll$$' -time 10m -steady

bench-pick: ## what a pick costs, by policy and number of replicas
	go test -run "^$$" -bench Pick -benchmem ./cluster/balance

bench-balance: build peers ## four real ThriftPy2 workers of which one freezes, fails, dies or is slow, beside HAProxy; about 25 minutes; rewrites docs/balance
	@bench/setup.sh
	@mkdir -p docs/balance
	@cd bench && go run ./balance -only '$(ROWS)' -with '$(WITH)' -rounds $(ROUNDS) -o ../docs/balance > ../docs/balance/results.md && cat ../docs/balance/results.md

bench-cache: build peers ## what a hit costs, beside a real ThriftPy2 worker, bare sockets and redis-benchmark, in Markdown; about three minutes
	@cd bench && go run ./cache -rounds $(ROUNDS) -with '$(WITH)'

bench-auto: build ## learned slots beside every number of them, before real ThriftPy2 servers
	@bench/auto/run.sh

sim: ## every scenario of the balancing simulator, in two minutes; rewrites docs/simulation
	@cd bench && go run ./sim

microbench: ## run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

golden: ## rewrite the golden files; review the diff
	go test ./... -update 2>/dev/null || true

lint: $(LINT) ## formatting, vet and linters
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "not formatted: gofmt -w ."; exit 1; }
	go vet ./...
	$(LINT) run ./...

$(LINT):
	@mkdir -p $(BIN)
	cd tools && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

cross: ## build and vet the library and the command for other systems
	GOOS=darwin go build ./... && GOOS=darwin go vet . ./client ./netio ./cmd/thriftloom
	GOOS=windows go build . ./client ./netio ./cmd/thriftloom && GOOS=windows go vet . ./client ./netio ./cmd/thriftloom

demo: ## the whole thing with nothing but the binary
	go run ./cmd/thriftloom demo

check: lint cross test ## all that CI runs: these three, and three minutes of soak
	$(MAKE) soak SOAK=3m
