# Every target installs what it misses and needs no service that someone else started.
SHELL := /bin/bash
export CARGO_INCREMENTAL ?= 1

.PHONY: demo test model mutants sim check fmt clippy docs floors deny advisories artifacts bench faults fuzz kills tamper contracts-tools postgres-tools help

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: contracts-tools ## Run scripted buyers on a local chain and print the reconciliation.
	cargo run --locked --bin inspay -- demo

test: contracts-tools postgres-tools ## Run all tests, on both databases and a real chain.
	cargo build --locked --bin inspay
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --locked; \
	else cargo test --workspace --locked; fi

sim: ## Run 2,000 seeds of the simulation and say how often everything happened.
	cargo run --locked --release -p inspay-sim --bin sim -- --seeds 2000

check: fmt clippy docs floors artifacts deny ## Everything that is checked without running the product.

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	cargo clippy --manifest-path tests/fuzz/Cargo.toml --target-dir target --no-default-features --locked -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items --quiet

floors: ## Fail on a crate that depends on its own or a higher floor.
	cargo xtask floors

artifacts: contracts-tools ## Rebuild the contracts and compare byte for byte.
	cd contracts && node build.mjs --check

deny: ## Licences, bans and sources of every dependency.
	@deploy/tools/cargo-deny check licenses bans sources

advisories: ## Known vulnerabilities; needs the advisory database.
	@deploy/tools/cargo-deny check advisories

bench: contracts-tools postgres-tools ## Measure catch-up, settlement, spending and latency against their floors.
	cargo build --release --locked --bin inspay --bin bench
	@if grep -qa INSPAY_FAIL_POINT target/release/inspay; then \
		echo 'a release has fail points' >&2; exit 1; fi
	target/release/bench

faults: contracts-tools ## Try the matrix of faults and reorgs on a living chain, twenty seeds a cell.
	cargo build --locked --bin inspay --bin matrix
	target/debug/matrix

tamper: ## Change the journal ten thousand times behind the program's back; every change is named at its entry.
	cargo test --locked -p inspay-it --test it -- tamper::ten_thousand --ignored --nocapture

model: postgres-tools ## Ask a million things of the credits on both databases and compare with a model of plain numbers.
	cargo test --locked -p inspay-it --test it -- model::a_million --ignored --nocapture

MUTATED = $(wildcard crates/ledger/src/*.rs crates/watcher/src/follow/[alpt]*.rs) \
	crates/watcher/src/follow/mod.rs crates/settlement/src/attribution.rs crates/primitives/src/confirmation.rs

mutants: ## Change attribution, confirmations, following and posting in every small way; the tests must notice.
	deploy/tools/cargo-mutants mutants --test-tool nextest --minimum-test-timeout 20 -o target/mutants $(MUTATED:%=-f %)

KILLS ?= 100

kills: contracts-tools postgres-tools ## Kill the gateway at every fail point and at KILLS random moments, on both databases.
	cargo build --locked --bin inspay
	INSPAY_KILLS=$(KILLS) cargo test --locked -p inspay-it --test it -- kill:: --nocapture --test-threads 2

FUZZ_SECONDS ?= 30

# No sanitizer: that would need a nightly compiler.
fuzz: ## Feed each fuzz target for FUZZ_SECONDS; what breaks one is kept under target/fuzz.
	@for target in reference node_answers settings api_bodies; do \
		mkdir -p target/fuzz/corpus/$$target && \
		deploy/tools/cargo-fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz --sanitizer none $$target \
			target/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix=target/fuzz/ || exit 1; \
	done

contracts-tools:
	@test -x contracts/node_modules/.bin/anvil || (cd contracts && npm ci --no-audit --no-fund)

postgres-tools:
	@deploy/tools/ensure-postgres
