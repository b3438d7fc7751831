# The menu. Each target installs what it needs (ops/setup.sh).
.PHONY: help demo test trace sim soak bench check fmt release clean

export SHOWRUNNER_ASCMHL ?= $(CURDIR)/target/tools/bin/ascmhl

help:
	@echo "make demo     a sample library with planted faults through the whole workflow (development build)"
	@echo "make test     the checks below, then every test with real tools"
	@echo "make trace    the suites of transfers and QC under strace: every opened file is judged by tests/trace/allowed.txt"
	@echo "make check    formatting, lints, documentation, licences and sources of dependencies, unused dependencies"
	@echo "make sim      the cluster simulation over many seeds (SEEDS=5000), stores side by side, plans over a million rows"
	@echo "make soak     random faults under load for half an hour (FOR=8h, SEED=7; PROFILE=edges: faults in each phase"
	@echo "              of long listings, hundreds of workers, only failures, a database without statistics)"
	@echo "make bench    whole jobs, transfers compared with cp and rsync, QC with plain decoding (release build)"
	@echo "make release  the binary, in target/release/showrunner"
	@echo "make fmt      formats the sources"
	@echo "make clean    removes the demo's output"

# The development build, which the tests use too: it compiles in a third of the time of a release build.
demo:
	ops/setup.sh run
	cargo build --workspace --bin showrunner
	target/debug/showrunner demo --once --dir target/demo

target/release/showrunner-built: $(shell git ls-files '*.rs' '*.sql' '*.toml' Cargo.lock 2>/dev/null)
	ops/setup.sh run
	cargo build --release --workspace --bins
	@touch $@

release: target/release/showrunner-built

# The checks run first: they find in minutes what would fail at the end. The test runner's summary stays last.
test: check
	ops/setup.sh test
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace --profile ci --test-threads $$((2 * $$(nproc) + 1)) && \
	  python3 ops/canary.py target/nextest/ci/junit.xml; \
	else \
	  echo "cargo-nextest is not installed: using cargo test"; \
	  cargo test --workspace; \
	fi

trace:
	ops/setup.sh test
	ops/trace.sh

sim:
	SHOWRUNNER_SIM_SEEDS=$(or $(SEEDS),5000) cargo nextest run --workspace --cargo-profile release -E 'binary(sim) and test(many_seeds)' --no-capture
	SHOWRUNNER_MODEL_SEEDS=$(or $(MODEL_SEEDS),8) SHOWRUNNER_MODEL_TRANSACTIONS=2000 SHOWRUNNER_PLAN_ROWS=$(or $(PLAN_ROWS),1000000) cargo nextest run --workspace --cargo-profile release -E 'test(every_store_answers_alike) or test(without_statistics)' --no-capture

SOAK := cargo nextest run --workspace --profile soak --no-capture

soak:
	ops/setup.sh test
	cargo build --workspace --bin showrunner
ifeq ($(PROFILE),edges)
	cargo build --release --workspace --bin showrunner
	SHOWRUNNER_BINARY=$(or $(BINARY),$(CURDIR)/target/release/showrunner) SHOWRUNNER_SOAK=$(or $(FOR),30m) $(if $(SEED),SHOWRUNNER_SEED=$(SEED)) $(SOAK) -E 'binary(it) and test(soak::edges)'
else
	SHOWRUNNER_SOAK=$(or $(FOR),30m) $(if $(SEED),SHOWRUNNER_SEED=$(SEED)) $(SOAK) -E 'binary(it) and test(soak::random)'
endif

bench: target/release/showrunner-built
	ops/setup.sh test
	target/release/bench job
	target/release/bench transfer
	target/release/bench qc
	target/release/bench slices 2GiB 2 kill

check:
	ops/setup.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items --quiet
	@set -e; if ! [ -x target/checks/bin/cargo-deny ]; then echo "SKIPPED: licences, bans, sources, advisories: cargo-deny is not installed"; \
	elif ! cargo fetch --locked --quiet; then echo "SKIPPED: licences, bans, sources, advisories: the crates of other platforms cannot be fetched"; \
	else \
	  target/checks/bin/cargo-deny --offline check licenses bans sources; \
	  if ls "$${CARGO_HOME:-$$HOME/.cargo}"/advisory-dbs/*/ >/dev/null 2>&1; then target/checks/bin/cargo-deny --offline check advisories; \
	  else echo "SKIPPED: advisories: the advisory database is not on this machine (cargo deny fetch)"; fi; \
	fi
	@if ! [ -x target/checks/bin/cargo-shear ]; then echo "SKIPPED: unused dependencies: cargo-shear is not installed"; \
	else target/checks/bin/cargo-shear --offline; fi

fmt:
	cargo fmt --all

clean:
	rm -rf target/demo showrunner-demo showrunner-data
