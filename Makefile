# Stasis. A machine with Linux, Go and make is enough; what else a target needs
# it installs or names. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# Each go test has a deadline. Go's collector must not start while a guest
# loops; a test that lets it would hang for ever.
TIMEOUT ?= 12m
FUZZTIME ?= 5s
ROUNDS ?= 10
MODULES ?= 100000
FIRST ?= 1
ARCHS ?= amd64,arm64
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r t d; do printf '  make %-14s %s\n' "$$t" "$$d"; done

.PHONY: build
build: ## Build bin/stasis
	$(GO) build -o bin/stasis ./cmd/stasis

.PHONY: demo
demo: build ## Run the main job on CPython: saved in mid-call, killed, woken twice by fresh processes (3 minutes at most)
	@$(GO) run ./cmd/demo -stasis bin/stasis

.PHONY: test
test: ## Run the tests in their short form: README's command (some minutes; test-long runs them whole)
	$(GO) test -short -timeout $(TIMEOUT) ./...

.PHONY: check
check: fmt vet staticcheck generated test-race fuzz-short ## All that CI runs: format, vet, staticcheck, generated files current, short tests with -race, a short fuzz

.PHONY: fmt
fmt: ## Say which files are not formatted
	@files=$$(gofmt -l $$(ls -d */ | grep -vE '^(bin|dist)/$$') *.go); if [ -n "$$files" ]; then echo "gofmt -w needed:" $$files; exit 1; fi
	@echo "gofmt: ok"

.PHONY: vet
vet: ## go vet, also for arm64
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...

.PHONY: staticcheck
staticcheck: ## staticcheck, pinned; fetched by go run
	$(GO) run $(STATICCHECK) ./...

.PHONY: generated
generated: ## go.mod and generated files are current
	$(GO) mod tidy -diff
	$(GO) generate ./...
	@if git rev-parse --git-dir >/dev/null 2>&1 && [ -n "$${CI:-}" ]; then git diff --exit-code; fi

.PHONY: test-race
test-race: ## The tests' short forms with -race
	$(GO) test -race -short -timeout $(TIMEOUT) ./...

.PHONY: fuzz-short
fuzz-short: ## Each fuzz target for some seconds
	@GO=$(GO) bash .ci/fuzz $(FUZZTIME) 3m

.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME (make fuzz FUZZTIME=10m)
	@GO=$(GO) bash .ci/fuzz $(FUZZTIME) 24h

.PHONY: test-long
test-long: build ## The long forms: the main job ROUNDS times in a row, MODULES random modules, all guests at full length (an hour or more)
	$(GO) test -timeout 2h ./...
	$(GO) test -timeout 2h -v -count 1 ./test/mainjob -rounds $(ROUNDS)
	$(GO) test -timeout 3h -v -count 1 ./test/differential -run TestRandomModules -modules $(MODULES)
	$(GO) test -timeout 2h -v -count 1 ./test/threads -stops 10000 -latency 2000
	$(GO) test -timeout 2h -count 1 ./guests -asyncify

.PHONY: real
real: ## Real modules of the registries: run, saved in mid-work, woken; writes doc/modules.md (hours; ONLY=php,lua for some)
	$(GO) test -timeout 8h -v -count 1 ./test/realmodules -run TestRealModules -record $(if $(ONLY),-only $(ONLY),-all)
	$(GO) generate ./test/realmodules

.PHONY: differential
differential: ## MODULES random modules plain and stopped at every safepoint, from seed FIRST on; what differs is shrunk into bin/ (make differential MODULES=1000000 FIRST=1)
	@mkdir -p bin
	$(GO) test -timeout 0 -v -count 1 ./test/differential -run TestRandomModules -modules $(MODULES) -first $(FIRST) -keep $(CURDIR)/bin

.PHONY: mutation
mutation: ## Deliberate faults in the pass, the interpreter and the adapter: each is caught by a suite (20 minutes)
	$(GO) test -timeout 2h -v -count 1 ./test/mutation

.PHONY: bench
bench: bench-code bench-processes ## Measure the cost: doc/benchmarks.md's figures

.PHONY: bench-code
bench-code: build ## What the code of guests costs
	$(GO) run ./test/bench

.PHONY: bench-processes
bench-processes: build ## What processes cost, by turns with the same program on Linux: doc/benchmarks.md, "Processes"
	@mkdir -p bin
	cc -std=gnu11 -O2 -w -pthread -Iguests/lib -o bin/bench-native test/processes/testdata/bench.c guests/lib/posix.c
	cc -std=gnu11 -O2 -w -pthread -Iguests/lib -o bin/table-native test/processes/testdata/table.c guests/lib/posix.c
	for i in 1 2 3; do \
		echo Linux; bin/bench-native; bin/table-native; \
		echo Stasis; for p in bench table; do bin/stasis run --rm --dir test/processes/testdata:/t test/processes/testdata/$$p.wasm; done; \
		echo Wasmer; test/processes/wasmer.sh; \
	done
	$(GO) test -run '^$$' -bench ForkOfMemory -benchtime 7x ./test/processes
	$(GO) test -run '^$$' -bench Many ./internal/kernel
	$(GO) test -v -count 1 -run TestBeside ./test/bombs -rounds 3 -pings 1000
	$(GO) test -v -count 1 -run Parked ./test/threads -parked 10000

.PHONY: syscalls-traced
syscalls-traced: build ## What the tests call, under strace: what the jail's list of system calls is held to (ten minutes)
	internal/jail/trace >bin/traced.txt && mv bin/traced.txt internal/jail/testdata/traced.txt

.PHONY: release
release: ## Build a release into dist/: tarballs, sums and SBOMs (ARCHS=amd64 for one)
	$(GO) run ./cmd/release -arch $(ARCHS)

.PHONY: release-check
release-check: ## The same, and once more from a copy of the source with nothing cached: the same bytes?
	$(GO) run ./cmd/release -arch $(ARCHS) -check

.PHONY: install-check
install-check: ## Does go install …@latest work, without a clone?
	$(GO) run ./cmd/release -install

.PHONY: clean
clean: ## Remove what was built here (caches of guests and compiled code stay in ~/.cache/stasis)
	rm -rf bin dist
