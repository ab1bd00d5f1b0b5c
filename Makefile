# make alone shows what there is.
SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
CONFIG  ?= configs/irdaemon.yaml
IMAGE   ?= irdaemon:$(VERSION)
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build run demo test unit e2e race lint fmt fmt-check vet bench fuzz peers image check

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the program to bin/irdaemon
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/irdaemon ./cmd/irdaemon

run: ## run the daemon on CONFIG (configs/irdaemon.yaml)
	go run ./cmd/irdaemon run --config $(CONFIG)

demo: ## play a whole incident in this terminal; needs no network and no other program
	go run ./cmd/irdaemon demo

test: ## all tests; builds Prometheus and Alertmanager the first time, says what it left out
	@hack/test

unit: ## the unit tests alone
	go test ./...

e2e: ## the end-to-end tests alone, with real Prometheus and Alertmanager processes
	@hack/e2e

race: ## the unit tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

lint: ## golangci-lint; builds it the first time
	@programs=$$(hack/prepare lint) && eval "$$programs" && "$$IRDAEMON_GOLANGCI_LINT" run ./...

fmt: ## format all Go files
	gofmt -w $$(git ls-files --cached --others --exclude-standard '*.go')

fmt-check: ## tell which Go files are not formatted
	@unformatted=$$(gofmt -l .) && if [[ -n $$unformatted ]]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi

vet: ## go vet, the end-to-end tests included
	go vet -tags e2e ./...

bench: ## the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## each fuzz target for FUZZTIME (30s)
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | while IFS=: read -r file target; do \
		echo "== $${target#func } in $$(dirname $$file)"; \
		go test -run '^$$' -fuzz "^$${target#func }$$" -fuzztime $(FUZZTIME) "./$$(dirname $$file)" </dev/null || exit 1; \
	done

peers: ## build the Prometheus and Alertmanager that the end-to-end tests use into the cache
	@hack/prepare peers

image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

check: ## everything that CI runs
	@.ci/run
