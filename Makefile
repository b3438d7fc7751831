# The menu. Each target does its own set-up.
.PHONY: help demo test sim soak bench check fmt release clean

export SHOWRUNNER_ASCMHL ?= $(CURDIR)/target/tools/bin/ascmhl

help:
	@echo "make demo     a sample library with planted faults through the whole workflow"
	@echo "make test     every test, with real tools"
	@echo "make sim      the cluster simulation over many seeds (SEEDS=5000), stores side by side, plans over a million rows"
	@echo "make soak     random faults under load for half an hour (FOR=8h, SEED=7; PROFILE=edges: faults in each phase"
	@echo "              of long listings, hundreds of workers, nothing but failures, a database without statistics)"
	@echo "make bench    whole jobs, transfers beside cp and rsync, QC beside plain decoding"
	@echo "make check    formatting, lints, licences"
	@echo "make release  the binary, in target/release/showrunner"

# The development build: the same one that tests use, in a third of the time of a release build.
demo:
	ops/setup.sh run
	cargo build --workspace --bins
	target/debug/showrunner demo --once --dir target/demo

target/release/showrunner-built: $(shell git ls-files '*.rs' '*.sql' '*.toml' Cargo.lock 2>/dev/null)
	ops/setup.sh run
	cargo build --release --workspace --bins
	@touch $@

release: target/release/showrunner-built

test:
	ops/setup.sh test
	cargo fmt --all --check
	cargo build --workspace --bins
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace --profile ci; \
	else \
	  echo "cargo-nextest is not installed: using cargo test"; \
	  cargo test --workspace; \
	fi

sim:
	SHOWRUNNER_SIM_SEEDS=$(or $(SEEDS),5000) cargo nextest run --workspace --cargo-profile release -E 'binary(sim) and test(many_seeds)' --no-capture
	SHOWRUNNER_MODEL_SEEDS=$(or $(MODEL_SEEDS),8) SHOWRUNNER_MODEL_TRANSACTIONS=2000 SHOWRUNNER_PLAN_ROWS=$(or $(PLAN_ROWS),1000000) cargo nextest run --workspace --cargo-profile release -E 'package(coordinator) and (test(every_store_answers_alike) or test(without_statistics))' --no-capture

SOAK := cargo nextest run --workspace --profile soak --no-capture

soak:
	ops/setup.sh test
	cargo build --workspace --bins
ifeq ($(PROFILE),edges)
	cargo build --release --workspace --bins
	SHOWRUNNER_BINARY=$(or $(BINARY),$(CURDIR)/target/release/showrunner) SHOWRUNNER_SOAK=$(or $(FOR),30m) $(if $(SEED),SHOWRUNNER_SEED=$(SEED)) $(SOAK) -E 'binary(it) and test(soak::edges)'
else
	SHOWRUNNER_SOAK=$(or $(FOR),30m) $(if $(SEED),SHOWRUNNER_SEED=$(SEED)) $(SOAK) -E 'binary(it) and test(soak::random)'
endif

bench: target/release/showrunner-built
	ops/setup.sh test
	target/release/bench-job
	target/release/bench-transfer
	target/release/bench-qc
	target/release/bench-slices 2GiB 2 kill

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@if ! cargo deny --version >/dev/null 2>&1; then echo "SKIPPED: licences, bans, sources and advisories: cargo-deny is not installed"; \
	else \
	  cargo deny --offline check licenses bans sources; \
	  if ls "$${CARGO_HOME:-$$HOME/.cargo}"/advisory-dbs/*/ >/dev/null 2>&1; then cargo deny --offline check advisories; \
	  else echo "SKIPPED: advisories: no copy of the advisory database is on this machine (cargo deny fetch)"; fi; \
	fi

fmt:
	cargo fmt --all

clean:
	rm -rf target/demo showrunner-demo showrunner-data
