# gomaild. One line a target; `make test` is all that a newcomer needs.

export CGO_ENABLED ?= 0
GO      ?= go
FUZZ    ?= 10s
BENCH   ?= .

.PHONY: build test race fuzz lint cover bench drill drill-kill lab lab-drbd lab-crash lab-compare lab-web play packages docs dist clean

build: ; $(GO) build -trimpath -ldflags '-s -w' -o bin/gomaild ./cmd/gomaild
test: packages lint ; $(GO) test -timeout 15m ./...
race: packages ; CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...
fuzz: ; GO=$(GO) FUZZ=$(FUZZ) .ci/fuzz
lint: ; GO=$(GO) .ci/lint
cover: packages ; $(GO) test -coverpkg=./... -coverprofile=coverage.out ./... && $(GO) tool cover -func=coverage.out | tail -n 1
bench: packages ; $(GO) test -run '^$$' -bench '$(BENCH)' -timeout 60m ./...
docs: ; $(GO) run ./cmd/gomaild config doc > docs/config.md && $(GO) run ./cmd/gomaild config example > docs/gomaild.example.toml
drill-kill: packages ; $(GO) test -count 1 -v -timeout 60m -run '^TestKillCycles$$' ./e2e -kill-cycles 1000
drill: ; $(GO) test -count 1 -v -run '^TestDrill$$' ./e2e
lab: build packages ; deploy/lab/run $$(mktemp -u -t gomaild-lab.XXXXXX) bin/gomaild
lab-drbd: build packages ; deploy/lab/uml/run $$(mktemp -u -t gomaild-drbd.XXXXXX) $${TMPDIR:-/tmp}/gomaild-drbd bin/gomaild
lab-crash: build packages ; deploy/lab/uml/crash $$(mktemp -u -t gomaild-crash.XXXXXX) $${TMPDIR:-/tmp}/gomaild-drbd bin/gomaild
lab-compare: build packages ; deploy/lab/compare $$(mktemp -u -t gomaild-lab.XXXXXX) bin/gomaild
lab-web: build ; .ci/packages web && deploy/lab/fronts $$(mktemp -u -t gomaild-web.XXXXXX) bin/gomaild
play: packages ; deploy/lab/play
packages: ; .ci/packages
dist: ; GO=$(GO) deploy/packages/build dist
clean: ; rm -rf bin dist gomaild-demo coverage.out
.PHONY: dialogs
dialogs: packages ; $(GO) test -count 1 -timeout 10m -run '^TestDialogsOnDovecot$$' ./imap -args dovecot
