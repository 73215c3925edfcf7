# Torc. "make" alone prints the targets.
SHELL := /bin/bash
GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
DIR ?= .dev/ring
BIN := bin/torc
# One way to compile for the binary, the tests and the linters, so that each
# dependency is compiled once; no C compiler is needed.
export CGO_ENABLED = 0
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.DEFAULT_GOAL := help
.PHONY: help build run down test unit cluster lint fmt race fuzz bench micro clean setup

help: ## print the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/torc, one static binary
	@mkdir -p bin
	$(GO) build -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/torc

run: build ## start a real three-server ring on this machine in DIR (.dev/ring) and print how to use it
	-@test/setup.sh
	@$(BIN) dev up --dir "$(DIR)"

down: ## stop that ring; its data stays ("bin/torc dev down --wipe" removes it)
	@$(BIN) dev down --dir "$(DIR)"

setup: ## install what the tests need and this machine lacks (AWS CLI, boto3)
	@test/setup.sh

test: lint unit cluster ## everything that must pass

unit: ## unit, model, conformance and memory-network tests
	$(GO) test -timeout 15m $$($(GO) list ./... | grep -v '^torc/test')

cluster: build setup ## whole-cluster tests: real processes, real clients, real faults
	TORC_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 20m -count=1 ./test/...

lint: ## gofmt, vet, staticcheck, strata and shape tests
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt these:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -count=1 ./internal/lint

fmt: ## gofmt the tree
	gofmt -w $$(git ls-files '*.go')

race: ## unit tests under the race detector (slow)
	CGO_ENABLED=1 $(GO) test -race -timeout 40m $$($(GO) list ./... | grep -v '^torc/test')

fuzz: ## every fuzz target for FUZZTIME (20s) each
	@for p in $$(grep -rl '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$p/*_test.go | cut -c6-); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(or $(FUZZTIME),20s) $$p || exit 1; done; done

bench: build ## load a fresh ring over S3 and print ops/s, latency, CPU per operation, memory
	$(GO) run ./bench --torc $(BIN) $(BENCHFLAGS)

micro: ## Go micro-benchmarks of the hot paths
	$(GO) test -run '^$$' -bench . -benchmem ./chunk/... ./internal/... ./storage/... ./protect/... ./meta/... ./object/... ./access/...

clean: ## remove what was built (rings in .dev stay)
	rm -rf bin
