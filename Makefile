# The one door: every recipe runs on a bare Debian or Ubuntu with a Rust toolchain, and installs
# what it needs (`tools/setup` says what it does).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export MUSTER_TOOLS ?= $(CURDIR)/.tools

.PHONY: deb firmware labelled help run test check demo bench hostile soak fuzz fuzz-smoke deny

help: ## list the recipes
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: ## build and start a server in ./muster-data
	tools/setup build
	$(CARGO) run --release --bin muster -- serve

test: ## all tests: unit, contract, and end to end with the real SDKs
	tools/setup build clients postgres package scan device
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --workspace --quiet
	MUSTER_CARRIERS=1 $(CARGO) test --quiet -p device --features pkcs11,tpm

check: ## formatting, lints, arrows between rooms, licences
	tools/setup build device
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet
	$(CARGO) clippy -p device --all-targets --features pkcs11,tpm --quiet
	$(CARGO) xtask tidy
	$(MAKE) deny

firmware: export MUSTER_FIRMWARE = 1
firmware: ## the device SDK on a Cortex-M3 in QEMU: vectors, instructions, flash and stack
	tools/setup build firmware
	$(CARGO) test -p device-c --test bare -- --nocapture

deb: ## the Debian package, into target/
	tools/setup build package
	$(CARGO) build --release --bin muster
	tools/package $(CARGO_TARGET_DIR)/release/muster $(CARGO_TARGET_DIR)

deny: ## licences, sources and bans of the dependencies
	tools/setup deny
	$(MUSTER_TOOLS)/bin/cargo-deny --workspace check bans licenses sources

demo: ## play the README's walk unattended, with a data folder of its own
	tools/setup build clients
	$(CARGO) build --release --bin muster
	examples/demo

bench: ## measure beside mosquitto; writes target/bench/report.json
	tools/setup build bench scan
	$(CARGO) build --release --bin muster --bin bench
	$(CARGO_TARGET_DIR)/release/bench

hostile: export MUTATIONS ?= 1000000
hostile: ## a million altered packets of each MQTT version against a server; prints what they did
	tools/setup build
	$(CARGO) build --release --bin muster
	$(CARGO) test --release -p tests --test hostile million -- --nocapture

labelled: export MUSTER_LABELLED = all
labelled: ## what the scanner finds in hundreds of labelled binaries, beside cve-bin-tool and unblob
	tools/setup build scan labelled
	$(CARGO) test --release -p scan --test labelled -- --nocapture

soak: export KILLS ?= 200
soak: export MINUTES ?= 30
soak: ## KILLS=200 kills under load, then MINUTES=30 of a crowd; writes target/soak/report.json
	tools/setup build clients
	$(CARGO) build --release --bin muster
	$(CARGO) test --release -p tests --test endure -- --nocapture --test-threads 1

# Coverage-guided fuzzing wants compiler switches that stable Rust keeps behind this variable.
fuzz fuzz-smoke: export RUSTC_BOOTSTRAP = 1

fuzz-smoke: ## a few seconds of fuzzing for each parser
	tools/setup build fuzz
	tools/fuzz 5 1

fuzz: ## ten minutes of fuzzing for each parser
	tools/setup build fuzz
	tools/fuzz 600
