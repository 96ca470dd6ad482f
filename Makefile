# Requires Go, make, git and, for the race detector and the model, a C compiler. Tools are pinned here and run
# from source. Only the commands that need checks for are installed.

BUF           := go run github.com/bufbuild/buf/cmd/buf@v1.57.2
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := go run golang.org/x/vuln/cmd/govulncheck@v1.8.0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
CLI      = github.com/orderly-engine/orderly/node/cli
LDFLAGS  = -s -w -X $(CLI).version=$(VERSION) -X $(CLI).commit=$(COMMIT)

# Duration of each fuzz target.
FUZZTIME ?= 10s
# Orders and wall-clock time of the crash test; it ends when both are reached.
COUNT    ?= 100000
DURATION ?= 10m
# Arguments of `orderly bench`.
ARGS     ?=
# Case of the model to check (default: all); TRACE=1 prints its trace.
CASE     ?=
TRACE    ?=

# need stops make if the command $(1) of the Debian package $(2) is missing; as root it installs the package.
need = @command -v $(1) >/dev/null || { \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && apt-get install -q -y --no-install-recommends $(2); } || \
	{ echo "$(1) is missing; on Debian: apt-get install $(2)" >&2; exit 1; }

SOURCE := $(wildcard actors deploy ingress messages node supervision)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build test race lint lint-go lint-proto fuzz bench benchmarks crash hostile model model-short generate generated tidy alerts vuln vuln-online check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: build ## start a node with an embedded NATS server, the demo services and sample orders
	ORDERLY_LOG_LEVEL=$${ORDERLY_LOG_LEVEL:-warn} bin/orderly run --demo

build: ## build bin/orderly, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/orderly ./node/orderly

test: ## run all tests
	$(call need,python3,python3)
	$(call need,node,nodejs)
	$(call need,openssl,openssl)
	go test -count=1 -timeout 10m ./...

race: ## run all tests under the race detector
	$(call need,python3,python3)
	$(call need,node,nodejs)
	$(call need,openssl,openssl)
	CGO_ENABLED=1 go test -race -count=1 -timeout 20m ./...

lint: lint-go lint-proto ## check format, vet, linters, protobuf style

lint-go:
	@files=$$(gofmt -l $(SOURCE)) || exit 1; \
	if [ -n "$$files" ]; then echo "not formatted, run gofmt -w:" $$files >&2; exit 1; fi
	go vet ./...
	$(GOLANGCI_LINT) run ./...

lint-proto:
	cd messages && $(BUF) lint

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@set -e; \
	targets=$$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' $(SOURCE) | sed 's/:func /:/'); \
	[ -n "$$targets" ] || { echo "no fuzz targets found" >&2; exit 1; }; \
	for target in $$targets; do \
		echo "fuzz $$target"; \
		go test -run '^$$' -fuzz "^$${target##*:}\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$${target%%:*}")"; \
	done

bench: build ## measure the engine beside raw JetStream; ARGS go to `orderly bench`
	bin/orderly bench $(ARGS)

benchmarks: ## run each Go benchmark once, so that none rots
	go test -run '^$$' -bench . -benchtime 1x -timeout 10m ./...

crash: ## kill -9 under load: at least COUNT orders (100000) and DURATION (10m)
	CRASH_COUNT=$(COUNT) CRASH_DURATION=$(DURATION) go test -count=1 -timeout 0 -v -run '^TestCrash' ./node/...

hostile: ## play hostile input against a node in its long form, and watch its memory and the orders of others
	HOSTILE_FULL=1 go test -count=1 -timeout 0 -v -run '^TestHostile' ./node/hostile

model: ## check the whole model of the order protocol; CASE=name checks one, TRACE=1 shows its trace
	$(call need,spin,spin)
	@TRACE=$(TRACE) actors/order/model/check.sh $(or $(CASE),all)

model-short: ## check the strongest cases and the quick mutations of the model
	$(call need,spin,spin)
	@actors/order/model/check.sh short

generate: ## generate the Go code of the protobuf contracts
	cd messages && $(BUF) generate

generated: ## fail when the generated code is stale
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	(cd messages && $(BUF) generate -o "$$dir/messages"); \
	for file in messages/*.pb.go "$$dir"/messages/*.pb.go; do \
		name=$$(basename "$$file"); \
		cmp "messages/$$name" "$$dir/messages/$$name" || { echo "generated code is stale: run make generate" >&2; exit 1; }; \
	done

tidy: ## fail when go.mod or go.sum is not tidy
	go mod tidy -diff

alerts: ## fire each Prometheus alert of deploy/alerts.yaml
	$(call need,promtool,prometheus)
	promtool check rules deploy/alerts.yaml
	promtool test rules deploy/alerts_test.yaml

vuln: ## look for known vulnerabilities; needs the Go vulnerability database over the network
	$(GOVULNCHECK) ./...

vuln-online: ## run vuln where the vulnerability database can be reached, and say so where not
	@out=$$($(GOVULNCHECK) ./... 2>&1) && status=0 || status=$$?; echo "$$out"; \
	case "$$status $$out" in \
	"0 "*) ;; \
	*"fetching vulnerabilities: Get"*"dial tcp"*) echo "vulnerabilities were not checked: the database cannot be reached from here" ;; \
	*) exit $$status ;; \
	esac

check: lint generated tidy alerts model-short test race benchmarks vuln-online ## all that a change must pass; what CI runs

clean: ## remove what was built; data stays
	rm -rf bin coverage.out
